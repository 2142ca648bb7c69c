"""The consumer protocol of Kafka 4 (KIP-848), by clients of three makers. Kafka 3.9 has none on ZooKeeper."""

import re
import sys

import pytest
from confluent_kafka import Consumer, ConsumerGroupType, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from groups.members import PARTITIONS, QUICK, produce
from harness.paths import TOOLS, kafka4_tool
from harness.process import Process, run, until

pytestmark = pytest.mark.dohle


def member(broker, group, **options):
    return Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group, "group.protocol": "consumer",
                     "auto.offset.reset": "earliest", "enable.auto.commit": False, **options})


def classic(broker, group, **options):
    return member(broker, group, **{"group.protocol": "classic", "session.timeout.ms": 6000, "heartbeat.interval.ms": 300, **options})


def numbers(consumer):
    return {(it.topic, it.partition) for it in consumer.assignment()}


def poll_until(seconds, consumers, condition, what):
    def polled():
        for consumer in consumers:
            message = consumer.poll(0.05)
            assert message is None or message.error() is None, message.error()
        return condition()

    until(seconds, polled, lambda: f"{what}: {[sorted(numbers(consumer)) for consumer in consumers]}")


def read(consumer, count, seconds=30):
    found = []

    def enough():
        message = consumer.poll(0.2)
        if message is not None:
            assert message.error() is None, message.error()
            found.append(message.value())
        return count <= len(found)

    until(seconds, enough, lambda: f"{len(found)} of {count} came")
    return found


def group_of(broker, group):
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})  # lives until it is answered
    return admin.describe_consumer_groups([group])[group].result(10)


def test_members_share_and_take_over(quick, name):
    topic, group = quick.create_topic(name("topic"), partitions=PARTITIONS), name("group")
    one, two = member(quick, group), member(quick, group)
    one.subscribe([topic])
    poll_until(20, [one], lambda: len(numbers(one)) == PARTITIONS, "the first has all")
    kept = numbers(one)
    two.subscribe([topic])
    poll_until(20, [one, two], lambda: len(numbers(one)) == len(numbers(two)) == PARTITIONS // 2, "each has half")
    assert numbers(one) < kept and not numbers(one) & numbers(two)
    poll_until(20, [one, two], lambda: group_of(quick, group).state.name == "STABLE", "stable")
    described = group_of(quick, group)
    assert (described.type, len(described.members)) == (ConsumerGroupType.CONSUMER, 2)
    admin = AdminClient({"bootstrap.servers": quick.bootstrap})
    listed = {it.group_id: it.type for it in admin.list_consumer_groups(types={ConsumerGroupType.CONSUMER}).result(10).valid}
    assert listed[group] == ConsumerGroupType.CONSUMER
    one.close()
    poll_until(20, [two], lambda: len(numbers(two)) == PARTITIONS, "the second has all")
    two.close()
    admin.delete_consumer_groups([group])[group].result(10)


def test_a_silent_member_is_put_out(quick, name):
    topic, group = quick.create_topic(name("topic"), partitions=PARTITIONS), name("group")
    script = "import confluent_kafka, sys; c = confluent_kafka.Consumer({'bootstrap.servers': sys.argv[1], 'group.id': sys.argv[2], " \
             "'group.protocol': 'consumer'}); c.subscribe([sys.argv[3]])\nwhile True: c.poll(1)"
    silent = Process("silent", [sys.executable, "-c", script, quick.bootstrap, group, topic], quick.log.parent / "silent.log")
    one = member(quick, group)
    try:
        silent.start()
        one.subscribe([topic])
        poll_until(20, [one], lambda: len(numbers(one)) == PARTITIONS // 2, "each has half")
        silent.kill()
        poll_until(30, [one], lambda: len(numbers(one)) == PARTITIONS, "the other one was silent")
    finally:
        silent.kill()
        one.close()


def test_a_group_goes_on_after_a_crash(brokers, name):
    broker = brokers(properties=QUICK)
    broker.start()
    topic, group = broker.create_topic(name("topic"), partitions=PARTITIONS), name("group")
    produce(broker, topic, [b"a %d" % number for number in range(40)])
    one = member(broker, group, **{"group.instance.id": "i"})
    one.subscribe([topic])
    read(one, 40)
    one.commit(asynchronous=False)
    before = group_of(broker, group)
    broker.kill()
    broker.start()
    produce(broker, topic, [b"b %d" % number for number in range(20)])
    assert sorted(read(one, 20, 60)) == sorted(b"b %d" % number for number in range(20)), "nothing is read twice"
    after = group_of(broker, group)
    same = lambda group: [(it.member_id, it.group_instance_id, it.assignment.topic_partitions) for it in group.members]  # noqa: E731
    assert same(before) == same(after), "the member did not change"
    one.close()
    assert [it.group_instance_id for it in group_of(broker, group).members] == ["i"], "it left for a while"


def test_patterns_and_new_partitions(quick, name):
    prefix, group = name("pattern"), name("group")
    first = quick.create_topic(f"{prefix}-1", partitions=2)
    one = member(quick, group, **{"topic.metadata.refresh.interval.ms": 1000})
    one.subscribe([f"^{prefix}-[0-9]"])
    poll_until(20, [one], lambda: numbers(one) == {(first, 0), (first, 1)}, "the first topic")
    second = quick.create_topic(f"{prefix}-2", partitions=1)
    quick.create_topic(f"{prefix}-x", partitions=1)
    poll_until(20, [one], lambda: numbers(one) == {(first, 0), (first, 1), (second, 0)}, "the second topic")
    admin = AdminClient({"bootstrap.servers": quick.bootstrap})
    admin.create_partitions([NewPartitions(second, 2)])[second].result(10)
    poll_until(20, [one], lambda: (second, 1) in numbers(one), "the new partition")
    one.close()


def test_a_group_changes_its_protocol_and_back(quick, name):
    topic, group = quick.create_topic(name("topic"), partitions=PARTITIONS), name("group")
    produce(quick, topic, [b"a %d" % number for number in range(40)])
    old = classic(quick, group)
    old.subscribe([topic])
    read(old, 40)
    old.commit(asynchronous=False)
    new = member(quick, group)
    new.subscribe([topic])
    poll_until(40, [old, new], lambda: len(numbers(old)) == len(numbers(new)) == PARTITIONS // 2, "each has half")
    assert group_of(quick, group).type == ConsumerGroupType.CONSUMER
    committed = new.committed([TopicPartition(topic, number) for number in range(PARTITIONS)], timeout=10)
    assert [it.offset for it in committed] == [10] * PARTITIONS
    new.close()
    poll_until(40, [old], lambda: len(numbers(old)) == PARTITIONS, "the classic one has all")
    assert group_of(quick, group).type == ConsumerGroupType.CLASSIC
    old.close()


def test_the_java_client(quick, name):
    topic, group = quick.create_topic(name("topic"), partitions=PARTITIONS), name("group")
    produce(quick, topic, [b"%d" % number for number in range(100)])
    said = run([kafka4_tool("kafka-console-consumer"), "--bootstrap-server", quick.bootstrap, "--topic", topic, "--group", group,
                "--consumer-property", "group.protocol=consumer", "--from-beginning", "--max-messages", "100", "--timeout-ms", "30000"])
    assert sorted(map(int, said.stdout.split())) == list(range(100))
    said = run([kafka4_tool("kafka-consumer-groups"), "--bootstrap-server", quick.bootstrap, "--describe", "--group", group, "--state"])
    assert re.search(rf"^{group}\b.*\bEmpty\b", said.stdout, re.M), said.stdout


@pytest.mark.parametrize("test", [
    "TestGroupETL/range/848",
    pytest.param("TestGroupETL/sticky/848", marks=pytest.mark.long),
    pytest.param("TestGroupSimple/848", marks=pytest.mark.long),
])
def test_franz_go(quick, test):
    [binary] = TOOLS.glob("kgo-*.test") or pytest.fail("franz-go's tests are missing: integration/setup/install says why")
    pattern = "/".join(f"^{part}$" for part in test.split("/"))
    done = run([binary, "-test.v", "-test.count=1", "-test.timeout=100s", "-test.run", pattern], seconds=120, check=False,
               env={"KGO_SEEDS": quick.bootstrap, "KGO_TEST_RF": "1", "KGO_TEST_RECORDS": "20000", "KGO_LOG_LEVEL": "none"})
    outcomes = re.findall(r"^ *--- (PASS|FAIL|SKIP): (\S+)", done.stdout, re.M)
    assert done.returncode == 0 and ("PASS", test) in outcomes, done.stdout[-3000:]
