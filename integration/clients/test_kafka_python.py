"""kafka-python, a client with a protocol implementation of its own, and the integration tests that it ships."""

import sys
import xml.etree.ElementTree

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

import harness.kafka_python  # noqa: F401
from harness.paths import INTEGRATION, TOOLS
from harness.process import run

PASSED_BY_KAFKA = 51
# What is not offered yet, and how many of the tests that makes.
NOT_YET, OF_THEM_NOT_YET = "transaction or acls or alter_replica_log_dirs", 4


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


@pytest.mark.on("embedded")
def test_its_own_suite(brokers, coordination, kind, folder):
    suite = TOOLS / "kafka-python"
    if not suite.exists():
        pytest.fail("kafka-python's tests are missing: integration/setup/install says why")
    properties = {"num.partitions": 2, "auto.create.topics.enable": "true", "group.min.session.timeout.ms": 3000}
    if kind == "kafka":
        properties |= {"authorizer.class.name": "kafka.security.authorizer.AclAuthorizer", "allow.everyone.if.no.acl.found": "true"}
    broker = brokers(properties=properties).start()
    wanted, left_out = PASSED_BY_KAFKA, []
    if kind == "dohle":
        wanted, left_out = wanted - OF_THEM_NOT_YET, ["-k", f"not ({NOT_YET})"]

    def passed(*arguments):
        result = folder / "result.xml"
        run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "harness.kafka_python", "-q", "--timeout", "60", f"--junitxml={result}", *arguments], cwd=suite, seconds=170,
            check=False, env={"KAFKA_VERSION": "3.9.0", "KAFKA_URI": f"kafka://{broker.bootstrap}", "KAFKA_ROOT": str(folder), "PYTHONPATH": str(INTEGRATION)})
        cases = list(xml.etree.ElementTree.parse(result).iter("testcase"))
        bad = lambda case: any(case.find(how) is not None for how in ("failure", "error", "skipped"))  # noqa: E731
        return {case.get("name") for case in cases if not bad(case)}, {case.get("name") for case in cases if case.find("failure") is not None}

    without_tls = [f"--ignore=test/integration/test_{what}_integration.py" for what in ("ssl", "sasl")]
    good, failed = passed("test/integration", *without_tls, *left_out)
    assert not failed and wanted <= len(good), f"{len(good)} of {wanted} passed; failed: {sorted(failed)}"
