"""A compacted topic keeps the last value of each key: for a stock client, for Kafka's tools, and for the other broker on the same files."""

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from harness import admin
from harness.paths import kafka_tool
from harness.process import run, until

SETTINGS = {"log.cleaner.backoff.ms": 300, "log.flush.offset.checkpoint.interval.ms": 500}
TOPIC = {"cleanup_policy": "compact", "segment_bytes": "20000", "min_cleanable_dirty_ratio": "0.01", "delete_retention_ms": "100",
         "index_interval_bytes": "500"}
KEYS, ROUNDS = 150, 8


def write(broker, topic, codec, label, transactional_id=None):
    """Every key in every round, the last third of the keys deleted in the end, and something behind to close the segment.
    What is to be read in the end."""
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, compression_type=codec, acks="all", enable_idempotence=True,
                             linger_ms=2, batch_size=4000)
    last, sent = {}, []
    for round in range(ROUNDS):
        for n in range(KEYS):
            key = b"key-%03d" % n
            value = None if round == ROUNDS - 1 and n % 3 == 2 else b"%s round %d of %d %s" % (label, round, n, b"." * (n % 60))
            sent.append(producer.send(topic, value, key, partition=0))
            last[key] = value
        producer.flush()
    for n in range(300):
        sent.append(producer.send(topic, b"%s filler %d %s" % (label, n, b"#" * 200), b"filler", partition=0))
        last[b"filler"] = b"%s filler %d %s" % (label, n, b"#" * 200)
    for one in sent:
        one.get(30)
    producer.close()
    return last


def read(broker, topic):
    """All records, as a reader from the beginning sees them."""
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, consumer_timeout_ms=20_000, check_crcs=True)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    end, records = consumer.end_offsets([partition])[partition], []
    while consumer.position(partition) < end:
        for batch in consumer.poll(500).values():
            records.extend(batch)
    consumer.close()
    return records


def leads(broker, topic):
    with broker.connect() as connection:
        return admin.offset(connection, topic)[0] == 0


def check(records, last):
    offsets = [record.offset for record in records]
    assert offsets == sorted(set(offsets)), "in order, once"
    seen = {record.key: record.value for record in records}
    for key, value in last.items():
        assert seen.get(key) == value, key


def compacted(broker, topic, last):
    """Waits until at most a few records of each key are left, and the deleted keys are gone."""
    def done():
        records = read(broker, topic)
        check(records, last)
        keyed = [record for record in records if record.key != b"filler"]
        # Tombstones go in a later round than the values before them, and the active segment is not touched.
        return len(keyed) <= 1.2 * len({record.key for record in keyed})

    until(90, done, lambda: f"{topic} is compacted\n{broker.tail()}")


def dump(folder):
    """What kafka-dump-log says of every segment."""
    logs = sorted(folder.glob("*.log"))
    shown = run([kafka_tool("kafka-dump-log"), "--deep-iteration", "--print-data-log", "--files", ",".join(map(str, logs))]).stdout
    assert "isvalid: true" in shown and "isvalid: false" not in shown and "Mismatch" not in shown and "CRC" not in shown
    return shown


@pytest.mark.parametrize("codec", [None, "gzip", "zstd"])
def test_the_last_value_of_each_key(brokers, codec):
    broker = brokers(properties=SETTINGS).start()
    topic = broker.create_topic("table", **TOPIC)
    last = write(broker, topic, codec, b"first")
    compacted(broker, topic, last)
    last |= write(broker, topic, codec, b"second")
    compacted(broker, topic, last)
    broker.stop()
    folder = broker.data / f"{topic}-0"
    shown = dump(folder)
    assert "first round 0" not in shown
    for index in sorted(folder.glob("*.index"))[:-1]:
        said = run([kafka_tool("kafka-dump-log"), "--index-sanity-check", "--files", index]).stdout
        assert "passed sanity check" in said or "is empty" in said
    assert f"{topic} 0 " in (broker.data / "cleaner-offset-checkpoint").read_text()
    assert not list(folder.glob("*.cleaned")) and not list(folder.glob("*.swap"))
    broker.start()
    check(read(broker, topic), last)


def test_either_broker_goes_on_where_the_other_compacted(brokers, kind, zookeeper, folder):
    last, labels = {}, [b"one", b"two", b"three"]
    for which, label in zip([kind, "kafka", kind], labels):
        broker = brokers(which, zookeeper.address, SETTINGS, at=folder / "moved").start()
        topic = "table"
        if label == b"one":
            broker.create_topic(topic, **TOPIC)
        last and check(read(broker, topic), last)
        last |= write(broker, topic, "lz4", label)
        compacted(broker, topic, last)
        broker.stop()
    dump(broker.data / f"{topic}-0")


def test_a_kill_while_compacting_loses_nothing(brokers, kind, zookeeper):
    broker = brokers(kind, zookeeper, {**SETTINGS, "log.cleaner.backoff.ms": 1, "zookeeper.session.timeout.ms": 2000}).start()
    topic = broker.create_topic("table", **TOPIC)
    last = {}
    for number in range(4):
        last |= write(broker, topic, "snappy", b"life %d" % number)
        broker.kill()
        until(20, lambda: "/brokers/ids/0" not in zookeeper.tree("/brokers"), "the session ends")
        broker.start()
        until(30, lambda: leads(broker, topic), "the partition is led")
        check(read(broker, topic), last)
    compacted(broker, topic, last)
