"""Reassignments that are throttled go at about the rate that they may, those that are not do not, and both end."""

import os
import threading
import time

import pytest

from harness import admin
from harness.process import until
from harness.tools import plan, tool

RATE = 500_000  # bytes per second
VALUE = 100_000
VALUES = 60
SIZE = VALUE * VALUES


def stored(broker, partition):
    """Bytes of records that a broker has of a partition."""
    return sum(file.stat().st_size for file in (broker.data / f"t-{partition}").glob("*.log"))


class Copying(threading.Thread):
    """Watches how long a broker takes from its first bytes of a partition to its last."""

    def __init__(self, broker, partition):
        super().__init__(daemon=True)
        self.broker, self.partition = broker, partition
        self.start()

    def run(self):
        until(60, lambda: stored(self.broker, self.partition), "it copies")
        began = time.monotonic()
        until(90, lambda: SIZE <= stored(self.broker, self.partition), "it has copied all")
        self.took = time.monotonic() - began

    def seconds(self):
        self.join()
        return self.took


def throttles(cluster):
    """What is set for brokers and topics."""
    said = [tool(cluster, "kafka-configs", "--describe", "--entity-type", "brokers", "--entity-name", str(id)) for id in range(4)]
    said.append(tool(cluster, "kafka-configs", "--describe", "--entity-type", "topics", "--entity-name", "t"))
    return [all(f"{side}.replication.throttled.{what}=" in text for side in ("leader", "follower"))
            for text, what in zip(said, ["rate"] * 4 + ["replicas"])]


@pytest.mark.timeout(400)
def test_a_throttled_reassignment_goes_at_its_rate_and_ends(cluster, folder):
    four = cluster()
    four.create("t")
    for partition in (0, 1):
        for _ in range(VALUES):
            four.produce("t", os.urandom(VALUE), partition)
    fourth = four.add(four.brokers[0].kind).start()
    until(30, lambda: len(four.ask(admin.brokers)) == 4, "the fourth broker is known")

    file = plan(folder, {("t", 0): [3, 0, 1]})
    copying = Copying(fourth, 0)
    said = tool(four, "kafka-reassign-partitions", "--reassignment-json-file", file, "--execute", "--throttle", str(RATE))
    assert f"The inter-broker throttle limit was set to {RATE} B/s" in said, said
    assert throttles(four) == [True] * 5
    throttled = copying.seconds()
    verify = lambda: tool(four, "kafka-reassign-partitions", "--reassignment-json-file", file, "--verify")  # noqa: E731
    until(60, lambda: "is complete" in verify(), verify)
    assert throttles(four) == [False] * 5, "what the tool set it takes away"
    four.in_sync("t")

    file = plan(folder, {("t", 1): [3, 0, 1]})
    copying = Copying(fourth, 1)
    said = tool(four, "kafka-reassign-partitions", "--reassignment-json-file", file, "--execute")
    assert "Successfully started" in said, said
    free = copying.seconds()
    until(60, lambda: "is complete" in verify(), verify)

    # A fetch takes a megabyte, and goes through before it is counted: two of them are free of charge.
    assert (SIZE - 2 * 1_048_576) / throttled < 1.5 * RATE, f"it took {throttled} s"
    assert RATE / 3 < SIZE / throttled, f"it took {throttled} s"
    assert 3 * RATE < SIZE / free, f"it took {free} s"
    until(20, lambda: len(set(four.copies("t")[i] for i in (0, 1, 3))) == 1, "all replicas have the same bytes")
