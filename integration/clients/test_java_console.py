"""Kafka's own Java clients through the console tools."""

import pytest

from harness.paths import kafka_tool
from harness.process import run


def produce(broker, topic, text, *arguments):
    run([kafka_tool("kafka-console-producer"), "--bootstrap-server", broker.bootstrap, "--topic", topic,
         "--property", "parse.key=true", *arguments], text=text)


def consume(broker, topic, count, *arguments):
    return run([kafka_tool("kafka-console-consumer"), "--bootstrap-server", broker.bootstrap, "--topic", topic, "--partition", "0",
                "--max-messages", str(count), "--timeout-ms", "30000", *arguments]).stdout


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_round_trip(broker, topic, codec):
    """The Java producer is idempotent with acks=all unless told otherwise."""
    sent = "".join(f"key{n % 7}\tvalue {n}\n" for n in range(2000))
    produce(broker, topic, sent, "--compression-codec", codec)
    assert consume(broker, topic, 2000, "--offset", "earliest", "--property", "print.key=true") == sent


def test_headers_timestamps_and_offsets_are_printed(broker, topic):
    produce(broker, topic, "colour:blue,size:9\tkey\tvalue\n", "--property", "parse.headers=true", "--producer-property", "acks=1")
    shown = consume(broker, topic, 1, "--offset", "0", *(
        argument for what in ("headers", "key", "offset", "timestamp") for argument in ("--property", f"print.{what}=true")))
    assert shown.startswith("CreateTime:") and shown.endswith("\tOffset:0\tcolour:blue,size:9\tkey\tvalue\n")
