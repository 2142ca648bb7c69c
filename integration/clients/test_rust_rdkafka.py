"""The integration tests that the Rust client rdkafka ships with its crate; Apache Kafka 3.9.1 passes all that are counted here."""

import re

import pytest

from harness.crates import Suite

PASSED_BY_KAFKA, OF_THEM_WITH_TRANSACTIONS = 31, 2
# They need no broker; the last one fails when the broker is quick: it wants messages to expire in 100 ms before their topic exists.
WITHOUT_BROKER = (
    "utils::.*|test_event_errors|test_invalid_max_poll_interval|test_future_producer_send|test_future_producer_send_fail|test_future_producer_send_full"
    "|test_future_undelivered|test_invalid_consumer_position|test_fatal_errors|test_base_producer_queue_full|test_base_producer_opaque_arc"
    "|test_client_config|test_base_producer_timeout")
TRANSACTIONS = "|test_transaction_.*"
pytestmark = [pytest.mark.long, pytest.mark.timeout(1800), pytest.mark.on("embedded")]


@pytest.fixture(scope="session")
def suite():
    tests = ["test_admin", "test_high_consumers", "test_low_consumers", "test_low_producers", "test_metadata", "test_transactions", "utils"]
    return Suite("rdkafka", "0.39.0", tests)


def test_rust_rdkafka(brokers, coordination, kind, suite):
    broker = brokers(properties={"num.partitions": 3, "auto.create.topics.enable": "true"}).start()
    # It expects a broker on a port of its own choice.
    file = suite.folder / "tests" / "test_metadata.rs"
    file.write_text(re.sub(r"port\(\), \d+\)", f"port(), {broker.port})", file.read_text()))
    wanted, without = PASSED_BY_KAFKA, WITHOUT_BROKER
    if kind == "dohle":
        wanted, without = wanted - OF_THEM_WITH_TRANSACTIONS, without + TRANSACTIONS
    environment = {"KAFKA_HOST": broker.bootstrap, "KAFKA_VERSION": "3.9.0"}
    good, names, said = suite.run(environment, re.compile(without), threads=2)
    assert wanted <= good.total(), f"failed: {sorted(names - good)}\n{said}"
