"""Groups whose coordinator is killed, handed over and moved under them: what was committed stays, and nobody reads what another one reads."""

import collections
import threading
import time

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from groups.members import member
from harness import admin
from harness.cluster import PARTITIONS, start_again
from harness.process import until
from harness.protocol import Reader

OFFSETS = "__consumer_offsets"


class Members:
    """Two members that commit after every record, and somebody who asks all the while what is committed."""

    def __init__(self, cluster, topic, group, pause=0.01, visitor=False, **options):
        self.cluster, self.topic, self.group, self.pause, self.options = cluster, topic, group, pause, options
        self.acknowledged, self.wrong, self.checks, self.commits = collections.Counter(), [], 0, 0
        # Offsets of records that somebody read, by partition; the highest that was seen committed.
        self.read, self.seen = collections.defaultdict(set), {}
        # Seconds between two commits, the most.
        self.committed_at, self.longest = time.monotonic(), 0
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=work) for work in (self._produce, self._consume, self._consume, self._check)]
        self.threads += [threading.Thread(target=self._visit)] * visitor

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        until(60, lambda: len(self.acknowledged) == PARTITIONS, "every partition is read")
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def _produce(self):
        number = 0
        while not self.stopping.wait(self.pause):
            number += 1
            try:
                self.cluster.produce(self.topic, b"%d" % number, number % PARTITIONS)
            except AssertionError as error:
                self.wrong.append(str(error))

    def _visit(self):
        """A third one comes for ten seconds, again and again."""
        while not self.stopping.wait(5):
            self._consume(10)

    def _consume(self, seconds=float("inf")):
        consumer, over = member(self.cluster, self.group, **self.options), time.monotonic() + seconds
        consumer.subscribe([self.topic])
        while not self.stopping.is_set() and time.monotonic() < over:
            message = consumer.poll(0.2)
            if message is None or message.error():
                continue
            self.read[message.partition()].add(message.offset())
            try:
                [done] = consumer.commit(message, asynchronous=False)
            except KafkaException:
                continue  # nobody knows what became of it
            if done.error is None:
                now, self.commits = time.monotonic(), self.commits + 1
                self.committed_at, self.longest = now, max(self.longest, now - self.committed_at)
                self.acknowledged[done.partition] = max(self.acknowledged[done.partition], done.offset)
        consumer.close()

    def _check(self):
        asker = member(self.cluster, self.group)
        while not self.stopping.wait(0.05):
            self.check(asker)
        asker.close()

    def check(self, asker):
        before = dict(self.acknowledged)
        try:
            found = asker.committed([TopicPartition(self.topic, partition) for partition in range(PARTITIONS)], timeout=5)
        except KafkaException:
            return
        if any(partition.error for partition in found):
            return
        self.checks += 1
        committed = {partition.partition: partition.offset for partition in found}
        self.wrong += [
            f"{partition} was acknowledged at {offset} and is at {committed[partition]}"
            for partition, offset in before.items() if committed[partition] < offset
        ]
        self.wrong += [
            f"{partition} was at {self.seen[partition]} and went back to {offset}"
            for partition, offset in committed.items() if offset < self.seen.get(partition, offset)
        ]
        self.seen = committed

    def goes_on(self):
        """Returns once every partition has been read further."""
        before = dict(self.acknowledged)
        until(60, lambda: all(before[partition] < self.acknowledged[partition] for partition in before), lambda: f"the group goes on: {self.wrong[:3]}")


def distributed(cluster, group):
    """What was distributed in each generation, from the coordinator's log: generation -> {member: {(topic, partition)}} in order."""
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": "looks", "auto.offset.reset": "earliest", "enable.partition.eof": True})
    count = len(consumer.list_topics(OFFSETS, timeout=10).topics[OFFSETS].partitions)
    consumer.assign([TopicPartition(OFFSETS, partition, 0) for partition in range(count)])
    ends, generations = 0, collections.defaultdict(list)
    while ends < count:
        message = consumer.poll(10)
        assert message is not None, "the log can be read"
        if message.error():
            ends += 1
            continue
        key = Reader(message.key())
        if key.i16() != 2 or key.string() != group or message.value() is None:
            continue
        value = Reader(message.value())
        assert value.i16() == 3
        _kind, generation, _protocol, _leader, _since = value.string(), value.i32(), value.string(), value.string(), value.i64()
        generations[generation].append(dict(value.array(_member)))
    consumer.close()
    return generations


def _member(reader):
    name, _instance, _client, _host = reader.string(), reader.string(), reader.string(), reader.string()
    reader.i32(), reader.i32(), reader.bytes()
    assignment = Reader(reader.bytes() or b"\0\0\0\0\0\0\xff\xff\xff\xff")
    assignment.i16()
    return name, {(topic, partition) for topic, partitions in assignment.array(lambda r: (r.string(), r.array(lambda p: p.i32()))) for partition in partitions}


def nobody_shares(generations):
    for generation, records in generations.items():
        assert all(record == records[0] for record in records), f"generation {generation} was distributed twice: {records}"
        read = [partition for partitions in records[0].values() for partition in partitions]
        assert len(read) == len(set(read)), f"two members of generation {generation} read the same: {records[0]}"


def coordinator(cluster, group, alive):
    """The broker that leads the group's partition; there is one partition only."""
    for broker in alive:
        try:
            with cluster.brokers[broker].connect(seconds=5) as connection:
                return admin.leaders(connection, OFFSETS)[0]
        except (OSError, EOFError, KeyError, IndexError):
            continue
    return -1


OPTIONS = {"offsets.topic.num.partitions": 1, "offsets.topic.replication.factor": 3, "min.insync.replicas": 2, "group.initial.rebalance.delay.ms": 0}


@pytest.fixture
def three(cluster):
    three = cluster(**OPTIONS)
    three.create("t")
    return three


def test_commits_survive_whatever_becomes_of_the_coordinator(three):
    with Members(three, "t", "g") as members:
        leads = lambda: coordinator(three, "g", range(3))  # noqa: E731
        for how in ("kill", "stop", "kill", "stop"):
            before = leads()
            getattr(three.brokers[before], how)()
            until(60, lambda: coordinator(three, "g", set(range(3)) - {before}) not in (before, -1), "another one coordinates")
            members.goes_on()
            start_again(three.brokers[before])
            until(60, lambda: len(three.ask(admin.in_sync, OFFSETS)[0]) == 3, "it is in sync again")
        zookeeper = three.zookeeper.client()
        order = [0, 1, 2]
        for _ in range(6):
            order = order[1:] + order[:1]
            move(zookeeper, order)
            until(30, lambda: leads() == order[0], "it moved")
            time.sleep(1)
        members.goes_on()
        zookeeper.stop()
    assert not members.wrong, members.wrong[:5]
    assert 50 < members.checks and 200 < members.commits, (members.checks, members.commits)
    nobody_shares(distributed(three, "g"))


def move(zookeeper, order):
    """Lets the first of these lead the one partition, as kafka-reassign-partitions and kafka-leader-election of old did."""
    partition = b'{"topic":"%s","partition":0' % OFFSETS.encode()
    until(30, lambda: not zookeeper.exists("/admin/reassign_partitions"), "the last move is over")
    zookeeper.create("/admin/reassign_partitions", b'{"version":1,"partitions":[%s,"replicas":%s}]}' % (partition, str(order).encode()))
    until(30, lambda: not zookeeper.exists("/admin/reassign_partitions"), "the replicas have another order")
    until(30, lambda: not zookeeper.exists("/admin/preferred_replica_election"), "the last election is over")
    zookeeper.create("/admin/preferred_replica_election", b'{"version":1,"partitions":[%s}]}' % partition)


MINUTES = 10
# A coordinator gives whom it finds in the log a session to come back in, as Kafka's does. Who left unheard, because the coordinator was just
# moving, is missed only when one of them keeps the group longer than that; with sessions of six seconds the group would wait all the time.
SHORT = {"session.timeout.ms": 1200, "heartbeat.interval.ms": 200}


@pytest.mark.long
@pytest.mark.timeout(60 * MINUTES + 300)
def test_a_coordinator_that_moves_every_two_seconds(cluster):
    """Acknowledged offsets stay and never go back, no partition has two readers in one generation, every record is read."""
    three = cluster(**OPTIONS, **{"group.min.session.timeout.ms": SHORT["session.timeout.ms"]})
    zookeeper, order, moved = three.zookeeper.client(), [0, 1, 2], 0
    # The records are of long ago.
    three.create("kept", **{"retention.ms": -1})
    with Members(three, "kept", "g", pause=0.05, visitor=True, **SHORT) as members:
        began = time.monotonic()
        for due in range(2, 60 * MINUTES, 2):
            time.sleep(max(0, began + due - time.monotonic()))
            order = order[1:] + order[:1]
            move(zookeeper, order)
            until(30, lambda: coordinator(three, "g", range(3)) == order[0], lambda: f"move {moved} came about: {members.wrong[:3]}")
            moved += 1
        took = time.monotonic() - began
        members.goes_on()
    zookeeper.stop()
    assert took < 1.1 * 60 * MINUTES, f"{moved} moves took {took:.0f} s"
    assert not members.wrong, members.wrong[:5]
    assert 1000 < members.checks and 3000 < members.commits, (members.checks, members.commits)
    for partition, committed in members.acknowledged.items():
        missing = set(range(committed)) - members.read[partition]
        assert not missing, f"{len(missing)} records of {partition} were committed and not read: {sorted(missing)[:5]}"
    generations = distributed(three, "g")
    nobody_shares(generations)
    print(f"{moved} moves in {took:.0f} s, {len(generations)} generations, {members.commits} commits, {members.checks} checks, "
          f"at most {members.longest:.1f} s between two commits")
    assert 2 * MINUTES < len(generations), "the visitor came and went"
    assert members.longest < 30, "the group goes on"


def test_offsets_of_a_deleted_topic_are_forgotten(three):
    """Whichever broker is the controller, and whichever coordinates."""
    for group in ("g", "h"):
        consumer = member(three, group)
        consumer.commit(offsets=[TopicPartition("t", 0, 5)], asynchronous=False)
        consumer.close()
    three.create("kept")
    asker = member(three, "g")
    asker.commit(offsets=[TopicPartition("kept", 1, 7)], asynchronous=False)
    controller = three.ask(admin.controller)
    assert three.ask(admin.delete_topic, "t", of=controller) == 0
    at = lambda topic, partition: asker.committed([TopicPartition(topic, partition)], timeout=20)[0].offset  # noqa: E731
    until(20, lambda: at("t", 0) < 0, "what was committed is forgotten")
    assert at("kept", 1) == 7
    asker.close()


def test_groups_begin_anew_with_their_topic(three):
    """`__consumer_offsets` was deleted and made again, with another number of partitions."""
    asker = member(three, "g")
    asker.commit(offsets=[TopicPartition("t", 0, 5)], asynchronous=False)
    asker.close()
    controller = three.ask(admin.controller)
    assert three.ask(admin.delete_topic, OFFSETS, of=controller) == 0
    until(30, lambda: all(OFFSETS not in three.ask(admin.metadata, of=broker)[2] for broker in range(3)), "it is gone")
    # Kafka answers that it is still being deleted.
    made = lambda: three.ask(lambda c: admin.try_create_topic(c, OFFSETS, 7, {"cleanup.policy": "compact"}, replication=3), of=controller)  # noqa: E731
    until(30, lambda: made()[0] == 0, "it is made again")
    for group in (f"g{number}" for number in range(20)):
        consumer = member(three, group)
        consumer.commit(offsets=[TopicPartition("t", 0, 3)], asynchronous=False)
        assert consumer.committed([TopicPartition("t", 0)], timeout=20)[0].offset == 3
        consumer.close()
