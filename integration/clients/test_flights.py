"""A real public data set, keyed, in through one client and out through others: complete, and in order per key."""

import threading

import confluent_kafka
import pytest

from harness import flights, paths
from harness.cluster import start_again
from harness.process import run, until

pytestmark = pytest.mark.timeout(600)
PARTITIONS = 3


def with_kcat(broker, topic, rows):
    run(["kcat", "-b", broker.bootstrap, "-P", "-t", topic, "-K", "\t", "-X", "acks=all", "-z", "lz4"], text=rows, seconds=300)


def with_console_producer(broker, topic, rows):
    run([paths.kafka_tool("kafka-console-producer"), "--bootstrap-server", broker.bootstrap, "--topic", topic,
         "--property", "parse.key=true", "--compression-codec", "zstd"], text=rows, seconds=300)


def with_dohle_produce(broker, topic, rows):
    run([paths.DOHLE, "produce", topic, "--bootstrap-server", broker.bootstrap, "--key-separator", "\t"], text=rows, seconds=300)


def through_kcat(broker, topic, partition, _count):
    return flights.parse(run(["kcat", "-b", broker.bootstrap, "-C", "-q", "-e", "-t", topic, "-p", str(partition), "-o", "beginning",
                              "-f", "%k\t%s\n"], seconds=300).stdout)


def through_console_consumer(broker, topic, partition, count):
    return flights.parse(run(
        [paths.kafka_tool("kafka-console-consumer"), "--bootstrap-server", broker.bootstrap, "--topic", topic, "--partition", str(partition),
         "--offset", "earliest", "--max-messages", str(count), "--timeout-ms", "60000", "--property", "print.key=true"], seconds=300).stdout)


def through_assign(broker, topic, partition, count):
    consumer = confluent_kafka.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "unused", "enable.auto.commit": False})
    consumer.assign([confluent_kafka.TopicPartition(topic, partition, 0)])
    pairs = []
    while len(pairs) < count:
        messages = consumer.consume(min(10_000, count - len(pairs)), 20)
        assert messages, f"only {len(pairs)} of {count} rows came from partition {partition}"
        pairs += [(message.key().decode(), message.value().decode()) for message in messages if not message.error()]
    consumer.close()
    return pairs


def through_dohle_consume(broker, topic, partition, count):
    return flights.parse(run(
        [paths.DOHLE, "consume", topic, "--bootstrap-server", broker.bootstrap, "--partition", str(partition), "--from-beginning",
         "--max-messages", str(count), "--format", "key-value"], seconds=300).stdout)


@pytest.mark.parametrize("producer, key", [
    (with_kcat, flights.carrier),
    (with_console_producer, flights.tail_number),
    (with_dohle_produce, flights.carrier),
], ids=["kcat", "console", "dohle"])
def test_every_flight_comes_out_in_order_per_key(broker, name, producer, key):
    topic = broker.create_topic(name("flights"), PARTITIONS)
    producer(broker, topic, flights.keyed_text(key))
    expected = flights.by_key((key(row), row) for row in flights.lines())
    counts = [ends(broker, topic, partition) for partition in range(PARTITIONS)]
    assert sum(counts) == flights.ROWS

    for reader in (through_kcat, through_console_consumer, through_assign, through_dohle_consume):
        pairs = [pair for partition, count in enumerate(counts) for pair in reader(broker, topic, partition, count)]
        assert len(pairs) == flights.ROWS, reader.__name__
        assert flights.by_key(pairs) == expected, reader.__name__


def ends(broker, topic, partition):
    consumer = confluent_kafka.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "unused"})
    low, high = consumer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, partition), timeout=20)
    consumer.close()
    assert low == 0
    return high


def test_nothing_acknowledged_is_lost_or_doubled_when_the_broker_is_killed(brokers, coordination):
    """kill -9 while an idempotent producer with acks=all is in the middle of the rows; the broker comes back on its port."""
    properties = {"zookeeper.session.timeout.ms": 2000, "zookeeper.connection.timeout.ms": 20000}
    broker = brokers(properties=properties).start()
    topic = broker.create_topic("flights", PARTITIONS)
    acknowledged, killed = [], threading.Event()

    def delivered(error, message):
        assert error is None, error
        acknowledged.append((message.partition(), message.offset(), message.key().decode(), message.value().decode()))
        if flights.ROWS // 3 < len(acknowledged) and not killed.is_set():
            broker.kill()
            killed.set()

    producer = confluent_kafka.Producer({
        "bootstrap.servers": broker.bootstrap, "enable.idempotence": True, "linger.ms": 5, "queue.buffering.max.messages": 50_000,
        "message.timeout.ms": 120_000, "reconnect.backoff.max.ms": 500})
    back = threading.Thread(target=lambda: killed.wait(120) and start_again(broker))
    back.start()
    for row in flights.lines():
        while True:
            try:
                producer.produce(topic, row, flights.carrier(row), on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(180) == 0
    back.join()

    assert killed.is_set() and len(acknowledged) == flights.ROWS
    pairs = []
    for partition in range(PARTITIONS):
        kept = through_kcat(broker, topic, partition, None)
        for at, offset, key, value in acknowledged:
            if at == partition:
                assert kept[offset] == (key, value), f"offset {offset} of partition {partition} is not what was acknowledged"
        pairs += kept
    assert len(pairs) == flights.ROWS, "a row is there twice"
    assert flights.by_key(pairs) == flights.by_key((flights.carrier(row), row) for row in flights.lines())
