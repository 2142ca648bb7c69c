"""Compacted topics keep the last value of every key, where stock clients and Kafka's own tools can see it."""

import re

import confluent_kafka

from harness import paths
from harness.process import run, until

SETTINGS = {
    "log.cleaner.backoff.ms": "200", "log.cleaner.min.cleanable.ratio": "0.01", "log.segment.bytes": "20000",
    "log.cleaner.delete.retention.ms": "1000",
}


def everything(broker, topic):
    """All (key, value, offset) from the beginning to the end."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "unused", "enable.auto.commit": False,
                                         "auto.offset.reset": "earliest", "enable.partition.eof": True})
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, confluent_kafka.OFFSET_BEGINNING)])
    found = []
    while True:
        message = consumer.poll(20)
        assert message is not None, "the end is not reached"
        if message.error():
            assert message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF
            consumer.close()
            return found
        found.append((message.key(), message.value(), message.offset()))


def test_the_last_value_of_every_key_is_kept_and_what_was_deleted_goes(brokers, coordination):
    broker = brokers(properties=SETTINGS).start()
    broker.create_topic("t", **{"cleanup.policy": "compact"})
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap, "enable.idempotence": True, "linger.ms": 1, "batch.num.messages": 50})
    expected = {}
    for number in range(20_000):
        key = b"%d" % (number % 97)
        expected[key] = b"value %d" % number
        producer.produce("t", expected[key], key)
        producer.poll(0)
    for gone in (b"3", b"5"):
        producer.produce("t", None, gone)
        expected[gone] = None
    producer.flush()
    before = len(everything(broker, "t"))
    # The active segment is not compacted, so that there is always a tail.
    until(90, lambda: len(everything(broker, "t")) < 1500, lambda: f"{before} records, now {len(everything(broker, 't'))}")
    found = everything(broker, "t")
    assert [offset for *_, offset in found] == sorted({offset for *_, offset in found}), "offsets stay, in order"
    last = {key: value for key, value, _ in found}
    assert {key: value for key, value in last.items() if value is not None} == {key: value for key, value in expected.items() if value is not None}
    broker.stop()
    said = run([paths.kafka_tool("kafka-dump-log"), "--deep-iteration", "--files", ",".join(str(log) for log in sorted((broker.data / "t-0").glob("*.log")))]).stdout
    assert len(re.findall(r"^\| offset: ", said, re.M)) == len(found), said[-500:]
    broker.start()
    assert everything(broker, "t") == found, "the same after a restart"
    # The idempotent producer of before goes on: its sequence numbers were kept.
    producer.produce("t", b"new", b"new")
    assert producer.flush(20) == 0
