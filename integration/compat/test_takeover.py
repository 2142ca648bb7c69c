"""A data directory and an ensemble move from Apache Kafka 3.9 to the broker under test, and back, with nothing copied."""

import re
import time

import pytest

from harness import admin
from harness.process import until
from harness.protocol import DESCRIBE_CONFIGS, Writer
from harness.records import GZIP, LZ4, SNAPPY, ZSTD, Batch

PARTITIONS = 2
SETTINGS = {"zookeeper.session.timeout.ms": 2000, "log.segment.bytes": 20_000, "log.index.interval.bytes": 1000}


class History:
    """What was written, and the check that all of it is still there."""

    def __init__(self, how):
        # Kafka writes its log start checkpoint once a minute: after kill -9 deleted records may be back.
        self.log_starts = [(0, 7)] if how == "stop" else [(0, 7), (0, 0)]
        self.bytes = {partition: b"" for partition in range(PARTITIONS)}
        self.ends = dict.fromkeys(range(PARTITIONS), 0)
        self.producer, self.sequence, self.deleted = None, 0, 0

    def write(self, broker):
        """Batches of every codec, and some of one idempotent producer, which lives on from broker to broker."""
        with broker.connect() as connection:
            self.producer = self.producer or admin.producer_id(connection)
            for number in range(40):
                partition = number % PARTITIONS
                batch = Batch([b"%d " % n * 50 for n in range(10)], codec=(0, GZIP, SNAPPY, LZ4, ZSTD)[number % 5])
                assert admin.produce(connection, "moved", batch.encode(), partition) == (0, self.ends[partition])
                self.ends[partition] += 10
            for _ in range(5):
                assert self._send(connection, self.sequence) == (0, self.ends[0])
                self.sequence, self.ends[0] = self.sequence + 1, self.ends[0] + 1
            self.bytes = {partition: read_all(connection, "moved", partition) for partition in range(PARTITIONS)}

    def check(self, broker):
        with broker.connect() as connection:
            for partition in range(PARTITIONS):
                assert admin.offset(connection, "moved", admin.LATEST, partition) == (0, self.ends[partition])
                assert read_all(connection, "moved", partition) == self.bytes[partition]
            assert admin.offset(connection, "shortened", admin.EARLIEST) in self.log_starts
            assert configs(connection, "moved") == {"retention.ms": "987654321", "segment.bytes": "20000"}
            assert self._send(connection, self.sequence - 1) == (0, self.ends[0] - 1), "a repeated batch is known by its sequence"
            assert self._send(connection, self.sequence + 5)[0] == 45, "a gap in the sequence is refused"

    def _send(self, connection, sequence):
        """Stamped with the present: producers older than producer.id.expiration.ms are forgotten at start."""
        batch = Batch([b"idempotent"], producer=(*self.producer, sequence), base_timestamp=int(time.time() * 1000))
        return admin.produce(connection, "moved", batch.encode())


def read_all(connection, topic, partition):
    """Every stored byte, batch by batch as the broker gives them."""
    end, at, data = admin.offset(connection, topic, admin.LATEST, partition)[1], 0, b""
    while at < end:
        error, _, more = admin.fetch(connection, topic, at, partition, most=1 << 20)
        assert error == 0 and more
        last = 0
        while last < len(more):  # offset of the next batch from the header of the last whole one
            at = int.from_bytes(more[last : last + 8]) + int.from_bytes(more[last + 23 : last + 27]) + 1
            last += 12 + int.from_bytes(more[last + 8 : last + 12])
        assert last == len(more), "a batch is cut"
        data += more
    return data


def configs(connection, topic):
    """The topic's own values (DescribeConfigs v1, source 1)."""
    body = Writer().i32(1).i8(2).string(topic).i32(-1).i8(0)
    answer = connection.ask(DESCRIBE_CONFIGS, 1, body)
    answer.i32()

    def entry(r):
        name, value, _, source, _ = r.string(), r.string(), r.i8(), r.i8(), r.i8()
        r.array(lambda synonym: (synonym.string(), synonym.string(), synonym.i8()))
        return name, value, source

    [entries] = answer.array(lambda r: (r.i16(), r.string(), r.i8(), r.string(), r.array(entry))[4])
    return {name: value for name, value, source in entries if source == 1}


def delete_records(connection, topic, offset):
    answer = connection.ask(21, 0, Writer().i32(1).string(topic).i32(1).i32(0).i64(offset).i32(10_000))
    answer.i32()
    assert answer.array(lambda r: (r.string(), r.array(lambda p: (p.i32(), p.i64(), p.i16()))))[0][1] == [(0, offset, 0)]


def ended(broker, how, zookeeper):
    """Stops the broker cleanly or with kill -9; returns once its registration is gone."""
    broker.stop() if how == "stop" else broker.kill()
    until(20, lambda: "/brokers/ids/0" not in zookeeper.tree("/brokers"), "the session ends")


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_there_and_back(brokers, kind, zookeeper, folder, how):
    history = History(how)

    def next_broker(kind):
        broker = brokers(kind, zookeeper, SETTINGS, at=folder / "broker").start()
        with broker.connect() as connection:
            for topic, partition in [("moved", 0), ("moved", 1), ("shortened", 0)] if history.producer else []:
                until(20, lambda: admin.offset(connection, topic, partition=partition)[0] == 0, "every partition is led")
                until(20, lambda: admin.metadata(connection, [topic])[2][topic][0] == 0, "every topic is known")
        return broker

    kafka = next_broker("kafka")
    kafka.create_topic("moved", PARTITIONS, retention_ms="987654321", segment_bytes="20000")
    kafka.create_topic("shortened")
    with kafka.connect() as connection:
        assert admin.produce(connection, "shortened", Batch([b"v"] * 20).encode())[0] == 0
        delete_records(connection, "shortened", 7)
    history.write(kafka)
    history.check(kafka)
    ended(kafka, how, zookeeper)

    ours = next_broker(kind)
    history.check(ours)
    history.write(ours)
    with ours.connect() as connection:
        ours.create_topic("made-between", 2)
        assert admin.produce(connection, "made-between", Batch([b"ours"]).encode(), 1)[0] == 0
    ended(ours, how, zookeeper)

    kafka = next_broker("kafka")
    history.check(kafka)
    history.write(kafka)
    history.check(kafka)
    with kafka.connect() as connection:
        assert admin.leaders(connection, "made-between") == [0, 0]
        assert b"ours" in admin.fetch(connection, "made-between", partition=1)[2]
    assert "Found invalid messages" not in kafka.log.read_text() and "Corrupt" not in kafka.log.read_text()


def test_the_other_brokers_identity_is_refused(brokers, kind, zookeeper, folder):
    """meta.properties of broker 0 of this cluster; a start as broker 1, or in another cluster, ends with the reason."""
    first = brokers(kind, zookeeper, at=folder / "broker").start()
    first.stop()
    elsewhere = f"{zookeeper.address}/elsewhere"
    for properties, zookeeper_, reason in [({"broker.id": 1}, zookeeper, "broker.id|node id"), ({}, elsewhere, "cluster")]:
        stranger = brokers(kind, zookeeper_, properties, at=folder / "broker").launch()
        assert stranger.exit_code(30) != 0
        assert re.search(reason, stranger.tail(5), re.I) and re.search("meta.properties|log dirs", stranger.log.read_text())
