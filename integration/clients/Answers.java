import java.io.BufferedOutputStream;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.Assignment;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.GroupSubscription;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.Subscription;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.StickyAssignor;
import org.apache.kafka.clients.consumer.internals.ConsumerProtocol;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.Cluster;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;

/**
 * Questions for assignors and for the partitioner, and what Kafka's own say: Answers SEED COUNT QUESTIONS-FILE ANSWERS-FILE.
 *
 * Groups live on from one question to the next: members come and go, topics grow, are made and deleted, somebody remembers an
 * older generation, or says that it reads what others read.
 */
public final class Answers {
    private static final Node NODE = new Node(0, "h", 1);
    private final Random random;
    private final PrintStream questions;
    private final PrintStream answers;

    private static final class Member {
        String id;
        String instance;
        List<String> topics;
        List<TopicPartition> owned = new ArrayList<>();
        int generation = -1;
    }

    private Answers(long seed, PrintStream questions, PrintStream answers) {
        this.random = new Random(seed);
        this.questions = questions;
        this.answers = answers;
    }

    public static void main(String[] arguments) throws Exception {
        int count = Integer.parseInt(arguments[1]);
        try (PrintStream questions = open(arguments[2]); PrintStream answers = open(arguments[3])) {
            Answers all = new Answers(Long.parseLong(arguments[0]), questions, answers);
            for (String name : List.of("range", "roundrobin", "sticky", "cooperative-sticky")) all.assignor(name, count);
            all.partitioner(count);
        }
    }

    private static PrintStream open(String path) throws Exception {
        return new PrintStream(new BufferedOutputStream(Files.newOutputStream(Path.of(path))), false, StandardCharsets.UTF_8);
    }

    private void assignor(String name, int count) {
        Map<String, Integer> topics = new TreeMap<>();
        List<Member> members = new ArrayList<>();
        int generation = 0;
        for (int question = 0; question < count; question++) {
            if (question % 12 == 0) {
                topics.clear();
                members.clear();
                for (int i = random.nextInt(6); 0 <= i; i--) topics.put("topic" + random.nextInt(30), random.nextInt(14));
                for (int i = random.nextInt(9); 0 <= i; i--) members.add(member(topics));
            } else {
                change(topics, members);
            }
            boolean alike = random.nextInt(3) != 0;
            List<String> wanted = some(topics);
            for (Member member : members) {
                if (alike) member.topics = wanted;
                else if (random.nextInt(2) == 0) member.topics = some(topics);
            }
            Collections.shuffle(members, random);
            Map<String, Assignment> answer = ask(name, topics, members);
            generation++;
            for (Member member : members) {
                if (answer != null && random.nextInt(10) != 0) {
                    member.owned = new ArrayList<>(answer.get(member.id).partitions());
                    member.generation = generation;
                } else if (random.nextInt(4) == 0) {
                    member.owned = new ArrayList<>(members.get(random.nextInt(members.size())).owned);
                } else if (random.nextInt(4) == 0) {
                    member.generation = -1;
                }
            }
        }
    }

    private void change(Map<String, Integer> topics, List<Member> members) {
        int what = random.nextInt(6);
        if (what == 0 && 1 < members.size()) members.remove(random.nextInt(members.size()));
        if (what == 1) members.add(member(topics));
        if (what == 2) topics.put("topic" + random.nextInt(30), random.nextInt(14));
        if (what == 3) for (Map.Entry<String, Integer> topic : topics.entrySet()) if (random.nextInt(3) == 0) topic.setValue(topic.getValue() + random.nextInt(4));
        if (what == 4 && 1 < topics.size()) topics.remove(topics.keySet().iterator().next());
    }

    private Member member(Map<String, Integer> topics) {
        Member member = new Member();
        member.id = (random.nextInt(2) == 0 ? "consumer-" : "c") + Long.toHexString(random.nextLong());
        member.instance = random.nextInt(4) == 0 ? "instance" + random.nextInt(1_000_000) : null;
        member.topics = some(topics);
        return member;
    }

    private List<String> some(Map<String, Integer> topics) {
        Set<String> chosen = new TreeSet<>();
        for (String topic : topics.keySet()) if (random.nextInt(3) != 0) chosen.add(topic);
        if (chosen.isEmpty() && random.nextInt(8) != 0) chosen.addAll(topics.keySet());
        if (random.nextInt(12) == 0) chosen.add("nowhere");
        List<String> list = new ArrayList<>(chosen);
        Collections.shuffle(list, random);
        return list;
    }

    /** As a leader does it: from the bytes that members joined with, in a map as ConsumerCoordinator makes it. */
    private Map<String, Assignment> ask(String name, Map<String, Integer> topics, List<Member> members) {
        questions.println("assignor " + name);
        List<PartitionInfo> partitions = new ArrayList<>();
        topics.forEach((topic, count) -> {
            questions.println("topic " + topic + " " + count);
            for (int i = 0; i < count; i++) partitions.add(new PartitionInfo(topic, i, NODE, new Node[] {NODE}, new Node[] {NODE}));
        });
        Map<String, Subscription> subscriptions = new HashMap<>();
        for (Member member : members) {
            ByteBuffer said = ConsumerProtocol.serializeSubscription(subscription(name, member));
            byte[] bytes = new byte[said.remaining()];
            said.duplicate().get(bytes);
            Subscription subscription = ConsumerProtocol.deserializeSubscription(said);
            subscription.setGroupInstanceId(Optional.ofNullable(member.instance));
            subscriptions.put(member.id, subscription);
            questions.println("member " + member.id + " " + (member.instance == null ? "-" : member.instance) + " " + HexFormat.of().formatHex(bytes));
        }
        questions.println("end");
        Cluster cluster = new Cluster("c", List.of(NODE), partitions, Set.of(), Set.of());
        Map<String, Assignment> answer = null;
        try {
            answer = assignor(name).assign(cluster, new GroupSubscription(subscriptions)).groupAssignment();
            new TreeMap<>(answer).forEach((id, assignment) -> answers.println(id + text(assignment.partitions())));
        } catch (RuntimeException thrown) {
            answers.println("threw " + thrown.getClass().getName());
        }
        answers.println("end");
        return answer;
    }

    private static ConsumerPartitionAssignor assignor(String name) {
        switch (name) {
            case "range": return new RangeAssignor();
            case "roundrobin": return new RoundRobinAssignor();
            case "sticky": return new StickyAssignor();
            default: return new CooperativeStickyAssignor();
        }
    }

    /** What a member says that was in this generation; the assignor itself makes its part of it. */
    private Subscription subscription(String name, Member member) {
        ConsumerPartitionAssignor assignor = assignor(name);
        if (0 <= member.generation || random.nextInt(4) != 0) {
            assignor.onAssignment(new Assignment(member.owned), new ConsumerGroupMetadata("g", member.generation, member.id, Optional.empty()));
        }
        ByteBuffer data = assignor.subscriptionUserData(new HashSet<>(member.topics));
        // Some are of a time before KIP-792: they do not say their generation to all.
        int generation = random.nextInt(8) == 0 ? -1 : member.generation;
        return new Subscription(member.topics, data, member.owned, generation, Optional.empty());
    }

    private static String text(List<TopicPartition> partitions) {
        Map<String, List<Integer>> topics = new TreeMap<>();
        for (TopicPartition partition : partitions) topics.computeIfAbsent(partition.topic(), topic -> new ArrayList<>()).add(partition.partition());
        StringBuilder text = new StringBuilder();
        topics.forEach((topic, numbers) -> {
            Collections.sort(numbers);
            text.append(' ').append(topic);
            numbers.forEach(number -> text.append(':').append(number));
        });
        return text.toString();
    }

    private void partitioner(int count) {
        for (int i = 0; i < count; i++) {
            byte[] key = new byte[random.nextInt(40)];
            random.nextBytes(key);
            int partitions = 1 + random.nextInt(1000);
            questions.println("key " + partitions + " " + HexFormat.of().formatHex(key));
            answers.println(BuiltInPartitioner.partitionForKey(key, partitions));
        }
    }
}
