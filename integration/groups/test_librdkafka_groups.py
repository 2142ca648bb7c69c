"""Consumer groups through confluent-kafka: subscribe, rebalance, commit, and go on from where the group was."""

import confluent_kafka
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from groups.members import PARTITIONS, member, produce, read
from harness.process import until


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
def test_a_group_goes_on_where_it_was(broker, name, strategy):
    topic, group = broker.create_topic(name("topic"), partitions=PARTITIONS), name("group")
    first = [b"a %d" % number for number in range(40)]
    produce(broker, topic, first)
    consumer = member(broker, group, **{"partition.assignment.strategy": strategy})
    consumer.subscribe([topic])
    assert sorted(read(consumer, 40)) == sorted(first)
    consumer.commit(asynchronous=False)
    consumer.close()
    second = [b"b %d" % number for number in range(20)]
    produce(broker, topic, second)
    consumer = member(broker, group)
    consumer.subscribe([topic])
    assert sorted(read(consumer, 20)) == sorted(second), "what was committed is not read again"
    consumer.close()


def test_members_share_the_partitions_and_take_over(broker, name):
    topic, group = broker.create_topic(name("topic"), partitions=PARTITIONS), name("group")
    one, two = member(broker, group), member(broker, group)
    one.subscribe([topic])
    until(30, lambda: one.poll(0.2) or len(one.assignment()) == PARTITIONS, "the first has all")
    two.subscribe([topic])

    def shared():
        one.poll(0.1), two.poll(0.1)
        return len(one.assignment()) == len(two.assignment()) == PARTITIONS // 2

    until(30, shared, "each has half")
    one.close()
    until(30, lambda: two.poll(0.2) or len(two.assignment()) == PARTITIONS, "the second has all")
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    described = admin.describe_consumer_groups([group])[group].result(10)
    assert (described.state.name, len(described.members)) == ("STABLE", 1)
    two.close()


def test_committed_offsets_are_listed_and_groups_deleted(broker, name):
    topic, group = broker.create_topic(name("topic"), partitions=PARTITIONS), name("group")
    consumer = member(broker, group)
    consumer.commit(offsets=[TopicPartition(topic, 1, 7, "seven")], asynchronous=False)
    [found, nothing] = consumer.committed([TopicPartition(topic, 1), TopicPartition(topic, 2)], timeout=10)
    assert (found.offset, found.metadata, nothing.offset) == (7, "seven", confluent_kafka.OFFSET_INVALID)
    consumer.close()
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    assert group in {listed.group_id for listed in admin.list_consumer_groups().result(10).valid}
    admin.delete_consumer_groups([group])[group].result(10)
    assert group not in {listed.group_id for listed in admin.list_consumer_groups().result(10).valid}


def test_committed_offsets_survive_a_crash(brokers, coordination, name):
    properties = {"offsets.topic.replication.factor": 1, "group.initial.rebalance.delay.ms": 0}
    broker = brokers(properties=properties)
    broker.start()
    topic = broker.create_topic(name("topic"), partitions=PARTITIONS)
    produce(broker, topic, [b"%d" % number for number in range(40)])
    consumer = member(broker, "g")
    consumer.subscribe([topic])
    read(consumer, 40)
    consumer.commit(asynchronous=False)
    consumer.close()
    broker.kill()
    broker.start()
    consumer = member(broker, "g")
    committed = consumer.committed([TopicPartition(topic, number) for number in range(PARTITIONS)], timeout=60)
    assert [it.offset for it in committed] == [10] * PARTITIONS
    consumer.close()
