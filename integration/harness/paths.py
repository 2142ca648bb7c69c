"""Where things lie: the repository, the tools that setup/install brought, the folder of this run."""

import os
import pathlib

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
INTEGRATION = REPOSITORY / "integration"
WORK = INTEGRATION / ".work"

_cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
TOOLS = pathlib.Path(os.environ.get("DOHLE_TEST_TOOLS", _cache / "dohle-integration"))
KAFKA = TOOLS / "kafka"
KAFKA_4 = TOOLS / "kafka-4"
FLIGHTS = TOOLS / "flights.csv"

TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
DOHLE = pathlib.Path(os.environ.get("DOHLE", TARGET / "release" / "dohle"))


def kafka_tool(name):
    """Path of one of Kafka's command line tools, for instance `kafka-topics`."""
    return str(KAFKA / "bin" / name)


def old_kafka_tool(version, name):
    """The same of an old version of Apache Kafka."""
    return str(TOOLS / f"kafka-{version}" / "bin" / name)


def kafka4_tool(name):
    """The same of Apache Kafka 4, whose clients speak the consumer protocol."""
    return str(KAFKA_4 / "bin" / name)
