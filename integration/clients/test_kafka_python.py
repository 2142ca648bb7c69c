"""kafka-python, a client with a protocol implementation of its own."""

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("idempotent", [False, True], ids=["plain", "idempotent"])
def test_round_trip(broker, topic, codec, idempotent):
    sent = [(b"k%d" % (n % 3), b"value %d" % n, [("n", b"%d" % n)]) for n in range(300)]
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, compression_type=codec, acks="all",
                             enable_idempotence=idempotent, linger_ms=5)
    futures = [producer.send(topic, value, key, headers, 0, 1_700_000_000_000 + n) for n, (key, value, headers) in enumerate(sent)]
    assert [future.get(30).offset for future in futures] == list(range(len(sent)))
    producer.close()

    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, consumer_timeout_ms=20_000, check_crcs=True)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    got = [next(consumer) for _ in sent]
    assert [(r.key, r.value, [tuple(header) for header in r.headers]) for r in got] == sent
    assert [r.timestamp for r in got] == [1_700_000_000_000 + n for n in range(len(sent))]
    assert consumer.beginning_offsets([partition]) == {partition: 0}
    assert consumer.end_offsets([partition]) == {partition: len(sent)}
    assert consumer.offsets_for_times({partition: 1_700_000_000_100})[partition].offset == 100
    consumer.close()


def test_admin(broker, name):
    topic, admin = name("admin"), KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    admin.create_topics([NewTopic(name=topic, num_partitions=2, replication_factor=1)])
    assert topic in admin.list_topics()
    [described] = admin.describe_topics([topic])
    assert len(described["partitions"]) == 2
    admin.delete_topics([topic])
    assert topic not in admin.list_topics()
    admin.close()
