"""confluent-kafka, the Python binding of librdkafka: produce, assign, admin."""

import confluent_kafka
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic,
                                   OffsetSpec, ResourceType)


def produce(broker, topic, messages, **options):
    """Produces (key, value, headers) messages and returns (offset, timestamp) of each as acknowledged."""
    acknowledged = []

    def delivered(error, message):
        assert error is None, error
        acknowledged.append((message.offset(), message.timestamp()[1]))

    producer = Producer({"bootstrap.servers": broker.bootstrap, "acks": "all", **options})
    for key, value, headers in messages:
        while True:
            try:
                producer.produce(topic, value, key, partition=0, headers=headers, timestamp=1_700_000_000_000, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(60) == 0
    return acknowledged


def consume(broker, partitions, count, **options):
    """The first `count` messages of the assigned partitions."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "unused", "enable.auto.commit": False,
                         "enable.partition.eof": False, **options})
    consumer.assign(partitions)
    messages = []
    while len(messages) < count:
        batch = consumer.consume(count - len(messages), 20)
        assert batch, f"only {len(messages)} of {count} messages came"
        for message in batch:
            assert message.error() is None, message.error()
        messages += batch
    consumer.close()
    return messages


def from_beginning(topic):
    return [TopicPartition(topic, 0, OFFSET_BEGINNING)]


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_round_trip(broker, topic, codec, acks):
    sent = [(b"k%d" % (n % 5), b"value %d " % n * 20, [("n", b"%d" % n), ("null", None)]) for n in range(500)]
    produce(broker, topic, sent, **{"compression.codec": codec, "acks": acks})
    got = consume(broker, from_beginning(topic), len(sent))
    assert [(m.key(), m.value(), m.headers()) for m in got] == sent
    assert [m.offset() for m in got] == list(range(len(sent)))
    assert {m.timestamp() for m in got} == {(confluent_kafka.TIMESTAMP_CREATE_TIME, 1_700_000_000_000)}


def test_idempotent_producer_numbers_without_gap(broker, topic):
    sent = [(None, b"%d" % n, None) for n in range(20_000)]
    acknowledged = produce(broker, topic, sent, **{"enable.idempotence": True, "linger.ms": 1, "batch.num.messages": 100})
    assert sorted(offset for offset, _ in acknowledged) == list(range(len(sent)))
    assert [m.value() for m in consume(broker, from_beginning(topic), len(sent))] == [value for _, value, _ in sent]


def test_large_message_and_one_too_large(broker, topic):
    produce(broker, topic, [(None, b"x" * 1_500_000, None)], **{"message.max.bytes": 3_000_000})
    [large] = consume(broker, from_beginning(topic), 1, **{"fetch.message.max.bytes": 1000})
    assert len(large.value()) == 1_500_000
    with pytest.raises(AssertionError, match="MSG_SIZE_TOO_LARGE"):
        produce(broker, topic, [(None, b"x" * 2_500_000, None)], **{"message.max.bytes": 3_000_000})


def test_log_append_time(broker, name):
    topic = broker.create_topic(name("append-time"), message_timestamp_type="LogAppendTime")
    [(_, acknowledged)] = produce(broker, topic, [(b"k", b"v", None)])
    [message] = consume(broker, from_beginning(topic), 1)
    assert message.timestamp() == (confluent_kafka.TIMESTAMP_LOG_APPEND_TIME, acknowledged)
    assert 1_700_000_000_000 < acknowledged


def test_waiting_fetch_is_woken_by_a_new_record(broker, topic):
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "unused", "fetch.wait.max.ms": 10_000})
    consumer.assign([TopicPartition(topic, 0, 0)])
    assert consumer.poll(1) is None
    produce(broker, topic, [(None, b"wake", None)])
    assert consumer.poll(5).value() == b"wake"
    consumer.close()


def test_offset_out_of_range_is_said(broker, topic):
    produce(broker, topic, [(None, b"only", None)])
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "unused", "auto.offset.reset": "error"})
    consumer.assign([TopicPartition(topic, 0, 100)])
    message = consumer.poll(20)
    assert message is not None and "OUT_OF_RANGE" in str(message.error()).upper().replace(" ", "_")
    consumer.close()


def test_offsets_for_times(broker, topic):
    produce(broker, topic, [(None, b"a", None), (None, b"b", None)])
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "unused"})
    ask = lambda timestamp: consumer.offsets_for_times([TopicPartition(topic, 0, timestamp)], timeout=20)[0].offset
    assert ask(1_600_000_000_000) == 0
    assert ask(1_800_000_000_000) == -1
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20) == (0, 2)
    consumer.close()


def test_admin_makes_grows_configures_and_deletes(broker, name):
    admin, topic = AdminClient({"bootstrap.servers": broker.bootstrap}), name("admin")

    def done(futures):
        return {key: future.result(20) for key, future in futures.items()}

    done(admin.create_topics([NewTopic(topic, 3, 1, config={"retention.ms": "3600000"})]))
    with pytest.raises(KafkaException, match="TOPIC_ALREADY_EXISTS"):
        done(admin.create_topics([NewTopic(topic, 3, 1)]))
    done(admin.create_partitions([NewPartitions(topic, 5)]))
    described = done(admin.describe_topics(confluent_kafka.TopicCollection([topic])))[topic]
    assert len(described.partitions) == 5

    resource = ConfigResource(ResourceType.TOPIC, topic)
    config = lambda: done(admin.describe_configs([resource]))[resource]
    assert (config()["retention.ms"].value, config()["retention.ms"].is_default) == ("3600000", False)
    change = ConfigEntry("retention.ms", "7200000", incremental_operation=AlterConfigOpType.SET)
    done(admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])]))
    assert config()["retention.ms"].value == "7200000"

    produce(broker, topic, [(None, b"%d" % n, None) for n in range(10)])
    done(admin.delete_records([TopicPartition(topic, 0, 4)]))
    assert [m.value() for m in consume(broker, from_beginning(topic), 6)] == [b"%d" % n for n in range(4, 10)]
    earliest = TopicPartition(topic, 0)
    assert done(admin.list_offsets({earliest: OffsetSpec.earliest()}))[earliest].offset == 4

    cluster = admin.describe_cluster().result(20)
    assert [node.port for node in cluster.nodes] == [broker.port] and cluster.controller.id == 0
    done(admin.delete_topics([topic]))
    assert topic not in admin.list_topics(timeout=20).topics
