"""The integration tests that the Rust client rskafka ships with its crate; Apache Kafka 3.9.1 passes all that are counted here."""

import re

import pytest

from harness.crates import Suite

PASSED_BY_KAFKA = 40
# These pass without a broker: they return at once where no second client, TLS or proxy is set up.
WITHOUT_BROKER = re.compile(
    "test_client_backoff_terminates|test_sasl|test_tls|test_socks5.*|test_produce_java_.*|test_produce_.*_consume_java_.*"
    "|test_produce_rdkafka_consume_rdkafka_nocompression")
pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.fixture(scope="session")
def suite():
    return Suite("rskafka", "0.6.0", ["client", "consumer", "produce_consume", "producer"], ["--features", "transport-tls"])


def test_rskafka(broker, suite):
    environment = {"TEST_INTEGRATION": "1", "TEST_BROKER_IMPL": "kafka", "KAFKA_CONNECT": broker.bootstrap}
    good, names, said = suite.run(environment, WITHOUT_BROKER, threads=4)
    assert PASSED_BY_KAFKA <= good.total(), f"failed: {sorted(names - good)}\n{said}"
