"""Clients from before Kafka 0.11, and from soon after it: they produce and consume, in groups where they can, beside today's clients on the
same topics.

pykafka 2.8 and the Rust crate kafka 0.10 speak the versions of Kafka 0.8 (Produce 0, Fetch 0, ListOffsets 0); Java's clients of 0.10.2 write
and read magic 1 (Produce 2, Fetch 3), those of 1.1 and 2.0 the new format in versions of their time."""

import json
import re
import sys
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from harness import admin, paths
from harness.process import Process, run, until
from harness.protocol import PRODUCE, Reader, frame
from harness.records import GZIP, Batch, message, wrapped

sys.path.append(str(paths.TOOLS / "pykafka"))

JAVA = ["0.10.2.2", "1.1.1", "2.0.1"]
KEPT = []  # clients of pykafka: what they made holds them only weakly
EARLY = "-Xmx128m -XX:TieredStopAtLevel=1"


def confluent_produce(broker, topic, values, codec="none", **options):
    """Today's client, idempotent and with headers."""
    producer = Producer({"bootstrap.servers": broker.bootstrap, "enable.idempotence": True, "compression.type": codec, "linger.ms": 20, **options})
    for value in values:
        producer.produce(topic, value, key=b"new", headers={"h": b"x"}, partition=0)
    assert producer.flush(30) == 0


def confluent_consume(broker, topic, count, offset=0):
    """What today's client reads: (offset, key, value, timestamp)."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "reader", "enable.auto.commit": False, "check.crcs": True})
    consumer.assign([TopicPartition(topic, 0, offset)])
    found = []
    until(30, lambda: found.extend(consumer.consume(count - len(found), 0.5)) or count <= len(found), lambda: f"{count} records, {len(found)} came")
    consumer.close()
    assert all(one.error() is None for one in found)
    return [(one.offset(), one.key(), one.value(), one.timestamp()[1]) for one in found]


def values(prefix, count):
    return [b"%s %d" % (prefix.encode(), number) for number in range(count)]


def pykafka(broker, version="0.9.0", **options):
    import pykafka

    client = pykafka.KafkaClient(hosts=broker.bootstrap, broker_version=version, **options)
    KEPT.append(client)
    return client


def pykafka_topic(broker, topic, version="0.9.0"):
    return pykafka(broker, version).topics[topic.encode()]


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy"])
def test_pykafka_beside_a_new_client(broker, topic, codec):
    from pykafka.common import CompressionType, OffsetType

    old, new = values("old", 300), values("new", 300)
    kinds = {"none": CompressionType.NONE, "gzip": CompressionType.GZIP, "snappy": CompressionType.SNAPPY}
    with pykafka_topic(broker, topic).get_producer(compression=kinds[codec], min_queued_messages=50, linger_ms=20, required_acks=-1) as producer:
        for value in old:
            producer.produce(value, partition_key=b"k")
    confluent_produce(broker, topic, new, codec)
    read = confluent_consume(broker, topic, 600)
    assert [(offset, value) for offset, _, value, _ in read] == list(enumerate(old + new))
    assert {key for _, key, _, _ in read} == {b"k", b"new"} and {time for *_, time in read[:300]} == {-1}, "magic 0 has no timestamps"

    consumer = pykafka_topic(broker, topic).get_simple_consumer(
        auto_offset_reset=OffsetType.EARLIEST, consumer_timeout_ms=20_000, fetch_message_max_bytes=1 << 16)
    found = [consumer.consume() for _ in range(600)]
    consumer.stop()
    assert [(one.offset, one.value) for one in found] == list(enumerate(old + new))


def test_pykafka_commits_and_goes_on(broker, topic):
    """In a group without members, whose offsets lie with the coordinator."""
    from pykafka.common import OffsetType

    sent = values("v", 100)
    confluent_produce(broker, topic, sent)
    options = {"consumer_group": b"old-" + topic.encode(), "auto_offset_reset": OffsetType.EARLIEST, "consumer_timeout_ms": 20_000}
    consumer = pykafka_topic(broker, topic).get_simple_consumer(**options)
    first = [consumer.consume().value for _ in range(40)]
    consumer.commit_offsets()
    consumer.stop()
    consumer = pykafka_topic(broker, topic).get_simple_consumer(**options)
    rest = [consumer.consume().value for _ in range(60)]
    consumer.stop()
    assert first + rest == sent


def fill(broker, topic):
    """Twenty records in each of its four partitions."""
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for partition in range(4):
        for value in values(f"p{partition}", 20):
            producer.produce(topic, value, partition=partition)
    assert producer.flush(30) == 0


def test_pykafka_in_a_group_of_the_broker(broker, name):
    from pykafka.common import OffsetType

    topic = broker.create_topic(name("grouped"), 4)
    fill(broker, topic)
    consumers = [
        pykafka_topic(broker, topic).get_balanced_consumer(
            b"managed-" + topic.encode(), managed=True, auto_offset_reset=OffsetType.EARLIEST, consumer_timeout_ms=500, heartbeat_interval_ms=500)
        for _ in range(2)]
    found = [set(), set()]

    def read():
        for number, consumer in enumerate(consumers):
            while (one := consumer.consume()) is not None:
                found[number].add(one.value)
        return len(found[0] | found[1]) == 80

    until(60, read, lambda: f"80 records, {len(found[0] | found[1])} came")
    until(30, lambda: all(len(consumer.partitions) == 2 for consumer in consumers), "two partitions for each")
    for consumer in consumers:
        consumer.stop()


@pytest.mark.on("zookeeper")
def test_consumers_that_coordinate_themselves_through_zookeeper(brokers, coordination, zookeeper):
    """As in the days of Kafka 0.8: members, owners and the share-out are znodes, and the brokers have no part in it."""
    from pykafka.common import OffsetType

    broker = brokers(zookeeper=zookeeper).start()
    topic = broker.create_topic("shared", 4)
    fill(broker, topic)
    consumers = [
        pykafka(broker, zookeeper_hosts=zookeeper.address).topics[topic.encode()].get_balanced_consumer(
            b"elders", zookeeper_connect=zookeeper.address, auto_offset_reset=OffsetType.EARLIEST, consumer_timeout_ms=500,
            zookeeper_connection_timeout_ms=6000)
        for _ in range(2)]
    found = set()

    def read():
        for consumer in consumers:
            while (one := consumer.consume()) is not None:
                found.add(one.value)
        return len(found) == 80

    until(60, read, lambda: f"80 records, {len(found)} came")
    until(30, lambda: all(len(consumer.partitions) == 2 for consumer in consumers), "two partitions for each")
    client = zookeeper.client()
    assert len(client.get_children("/consumers/elders/ids")) == 2
    [owned] = client.get_children("/consumers/elders/owners")
    assert len(client.get_children(f"/consumers/elders/owners/{owned}")) == 4, "every partition has its owner"
    client.stop()
    for consumer in consumers:
        consumer.stop()


def crate(name, *arguments, text=None, check=True, seconds=60):
    return run([paths.TOOLS / "kafka-rust" / "bin" / f"console-{name}", *arguments], text=text, check=check, seconds=seconds,
               env={"RUST_LOG": "off"})


def without_places(said):
    """The values: each stands under a line that says where it was."""
    return [line for line in said.splitlines() if not re.fullmatch(r".*:\d+@\d+:", line)]


def crate_consume(broker, topic, *arguments):
    """What one fetch brings."""
    return without_places(crate("consumer", "--brokers", broker.bootstrap, "--topics", topic, *arguments).stdout)


@pytest.mark.parametrize("codec", ["NONE", "GZIP", "SNAPPY"])
def test_crate_kafka_beside_a_new_client(broker, topic, folder, codec):
    old, new = values("old", 200), values("new", 200)
    crate("producer", "--brokers", broker.bootstrap, "--topic", topic, "--compression", codec, "--batch-size", "50",
          text="".join(f"{value.decode()}\n" for value in old))
    confluent_produce(broker, topic, new, codec.lower())
    assert [value for _, _, value, _ in confluent_consume(broker, topic, 400)] == old + new
    # It goes on with another fetch behind every compressed message.
    log = folder / "consumer.log"
    reader = Process("consumer", [paths.TOOLS / "kafka-rust" / "bin" / "console-consumer", "--brokers", broker.bootstrap, "--topics", topic, "--earliest",
                                  "--follow"], log, {"RUST_LOG": "off"}, folder).start()
    try:
        until(30, lambda: log.read_text().count("\n") == 800, reader.tail)
    finally:
        reader.kill()
    assert without_places(log.read_text()) == [value.decode() for value in old + new]


@pytest.mark.parametrize("storage", ["zookeeper", "kafka"])
def test_crate_kafka_keeps_its_offsets(broker, topic, coordination, storage):
    """In ZooKeeper by OffsetCommit 0, or with the coordinator by OffsetCommit 1; on the embedded coordinator too."""
    consume = lambda: crate_consume(broker, topic, "--group", f"g-{topic}", "--storage", storage, "--commit", "--earliest")  # noqa: E731
    confluent_produce(broker, topic, [b"one", b"two"])
    if storage == "kafka":  # it gives up when the coordinator is not there yet
        until(60, lambda: crate("consumer", "--brokers", broker.bootstrap, "--topics", topic, "--group", "first", "--storage", storage, "--commit",
                                "--earliest", check=False).returncode == 0, "the coordinator answers")
    assert consume() == ["one", "two"]
    confluent_produce(broker, topic, [b"three"])
    assert consume() == ["three"], "it goes on where it was"
    if storage == "zookeeper" and coordination == "zookeeper":
        from kazoo.client import KazooClient
        client = KazooClient(broker.zookeeper)
        client.start()
        assert client.get(f"/consumers/g-{topic}/offsets/{topic}/0")[0] == b"3"
        client.stop()


def verifiable(version, tool, *arguments, seconds=60):
    """What a verifiable client says, line by line."""
    said = run([paths.old_kafka_tool(version, f"kafka-verifiable-{tool}"), *arguments], seconds=seconds, env={"KAFKA_HEAP_OPTS": EARLY}).stdout
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


@pytest.mark.on("zookeeper")
@pytest.mark.parametrize("version", JAVA)
@pytest.mark.parametrize("codec", ["lz4", pytest.param("none", marks=pytest.mark.long), pytest.param("gzip", marks=pytest.mark.long),
                                   pytest.param("snappy", marks=pytest.mark.long)])
def test_java_beside_a_new_client(broker, topic, folder, coordination, version, codec):
    """Produces; reads in a group what it and today's client have written; and today's client reads it too."""
    settings = folder / "producer.properties"
    settings.write_text(f"compression.type={codec}\nlinger.ms=20\n")
    before = time.time() * 1000
    done = verifiable(version, "producer", "--broker-list", broker.bootstrap, "--topic", topic, "--max-messages", "300", "--producer.config", settings)
    assert sum(line.get("name") == "producer_send_success" for line in done) == 300
    confluent_produce(broker, topic, values("new", 100), codec)
    expected = [b"%d" % number for number in range(300)] + values("new", 100)
    read = confluent_consume(broker, topic, 400)
    assert [value for _, _, value, _ in read] == expected
    assert all(before - 60_000 < time for *_, time in read), "magic 1 has timestamps"

    consumer = Process("consumer", [
        paths.old_kafka_tool(version, "kafka-verifiable-consumer"), "--broker-list", broker.bootstrap, "--topic", topic, "--group-id", f"java-{topic}",
        "--reset-policy", "earliest", "--verbose", "--max-messages", "400"], folder / "consumer.log", {"KAFKA_HEAP_OPTS": EARLY}, folder)
    said = lambda: [json.loads(line) for line in (folder / "consumer.log").read_text().splitlines() if line.startswith("{")]  # noqa: E731
    committed = lambda: any(line["name"] == "offsets_committed" and line["success"] and line["offsets"][0]["offset"] == 400 for line in said())  # noqa: E731
    consumer.start()
    try:
        until(60, committed, consumer.tail)  # that of 0.10.2 does not end by itself
    finally:
        consumer.kill()
    assert [line["value"].encode() for line in said() if line["name"] == "record_data"] == expected


def test_requests_of_old_and_new_versions_overlap_on_one_connection(broker, topic):
    """What is converted does not overtake, and is not overtaken: answers and offsets are in the order of the requests."""
    slow = wrapped(GZIP, *(message(b"%d" % number * 50, offset=number) for number in range(2000)))
    sent = [(2, slow, 2000), (7, Batch([b"new"]).encode(), 1), (0, message(b"old", magic=0), 1), (2, slow, 2000), (2, message(b"old") * 3, 3),
            (7, Batch([b"new"] * 5).encode(), 5)]
    with broker.connect() as connection:
        bodies = [(version, admin.produce_body(topic, records)[0 if 3 <= version else 2:]) for version, records, _ in sent]
        connection.send(b"".join(frame(PRODUCE, version, body, number) for number, (version, body) in enumerate(bodies)))
        expected = 0
        for number, (version, _, count) in enumerate(sent):
            answer = Reader(connection.receive())
            assert answer.i32() == number
            [[(index, error, offset)]] = answer.array(lambda r: (r.string(), r.array(lambda p: (p.i32(), p.i16(), p.i64(), 2 <= version and p.i64(), 5 <= version and p.i64())[:3]))[1])
            assert (index, error, offset) == (0, 0, expected)
            expected += count
    assert len(confluent_consume(broker, topic, expected)) == expected


@pytest.mark.dohle
def test_what_is_compressed_a_thousandfold_is_refused(broker, topic):
    """The memory for it stays within its bound, and the connection goes on."""
    before, most = broker.process_memory()
    bomb = wrapped(GZIP, message(bytes(200 << 20)))
    with broker.connect() as connection:
        for version in (0, 2, 2, 2):
            body = admin.produce_body(topic, bomb)[2:]
            answer = connection.ask(PRODUCE, version, body)
            [[(_, error)]] = answer.array(lambda r: (r.string(), r.array(lambda p: (p.i32(), p.i16(), p.i64(), 2 <= version and p.i64())[:2]))[1])
            assert error == 10, "MESSAGE_TOO_LARGE"
    assert broker.process_memory()[1] <= max(most, before + (128 << 20))
