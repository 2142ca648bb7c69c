"""kcat (librdkafka): what a person types first."""

import json

import pytest

from harness.process import run


def kcat(broker, *arguments, text=None):
    return run(["kcat", "-b", broker.bootstrap, *arguments], text=text, seconds=60).stdout


def consume(broker, topic, *arguments):
    return kcat(broker, "-C", "-q", "-e", "-t", topic, "-p", "0", "-o", "beginning", *arguments)


def test_lists_the_broker_and_its_topic(broker, topic):
    listed = json.loads(kcat(broker, "-L", "-J", "-t", topic))
    assert [b["name"] for b in listed["brokers"]] == [broker.bootstrap]
    assert [(t["topic"], [p["leader"] for p in t["partitions"]]) for t in listed["topics"]] == [(topic, [0])]


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_keys_and_values_come_back(broker, topic, codec):
    sent = "".join(f"key{n % 7}\tvalue {n}\n" for n in range(1000))
    kcat(broker, "-P", "-t", topic, "-K", "\t", "-z", codec, text=sent)
    assert consume(broker, topic, "-f", "%k\t%s\n") == sent


def test_headers_and_null_values(broker, topic):
    kcat(broker, "-P", "-t", topic, "-H", "colour=blue", "-H", "empty=", "-K", ":", "-Z", text="dead:\n")
    kept = json.loads(consume(broker, topic, "-J"))
    assert (kept["key"], kept["payload"]) == ("dead", None)
    assert kept["headers"][:3] == ["colour", "blue", "empty"]


def test_reads_from_an_offset_and_from_the_end(broker, topic):
    kcat(broker, "-P", "-t", topic, text="".join(f"{n}\n" for n in range(10)))
    assert kcat(broker, "-C", "-q", "-e", "-t", topic, "-p", "0", "-o", "7").split() == ["7", "8", "9"]
    assert kcat(broker, "-C", "-q", "-e", "-t", topic, "-p", "0", "-o", "-2").split() == ["8", "9"]


def test_asks_for_offsets_by_timestamp(broker, topic):
    kcat(broker, "-P", "-t", topic, text="one\ntwo\n")
    assert kcat(broker, "-Q", "-t", f"{topic}:0:-2").split()[-1] == "0"
    assert kcat(broker, "-Q", "-t", f"{topic}:0:-1").split()[-1] == "2"
    assert kcat(broker, "-Q", "-t", f"{topic}:0:1").split()[-1] == "0"
