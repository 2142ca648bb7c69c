"""A process that may open no more files: connections wait, writes are refused for a while, and nothing ends."""

import contextlib
import os
import pathlib
import re

import pytest

from harness import admin
from harness.process import until
from harness.records import Batch, values

LARGE = Batch([os.urandom(200_000)]).encode()
SEGMENT_BYTES = 1 << 20
LIMIT = 200


def limits(broker):
    """The soft and the hard limit on open files of its process."""
    return re.search(r"^Max open files +(\d+) +(\d+)", pathlib.Path(f"/proc/{broker.pid}/limits").read_text(), re.M).groups()


def limited(brokers, soft, hard, **more):
    return brokers(wrapper=["prlimit", f"--nofile={soft}:{hard}"], **more).start()


@pytest.mark.on("embedded")
@pytest.mark.dohle
def test_it_takes_as_many_files_as_it_may(brokers, coordination):
    broker = limited(brokers, 200, 3000)
    assert limits(broker) == ("3000", "3000")


@pytest.mark.on("embedded")
@pytest.mark.dohle  # Apache Kafka needs more than that to start
def test_it_says_what_to_do_and_goes_on_when_there_are_files_again(brokers, coordination):
    broker = limited(brokers, LIMIT, LIMIT, properties={"log.segment.bytes": SEGMENT_BYTES, "log.index.size.max.bytes": 4096})
    broker.create_topic("t")
    with broker.connect(seconds=60) as connection, contextlib.ExitStack() as crowd:
        for _ in range(LIMIT):
            # The last ones wait in the backlog.
            crowd.enter_context(broker.connect())
        until(10, lambda: "raise it with LimitNOFILE=" in broker.log.read_text(), "the log says what to do")
        # A new segment needs files: what cannot be written is refused, and what was acknowledged stays.
        acknowledged = 0
        while (error := admin.produce(connection, "t", LARGE)[0]) == 0:
            acknowledged += 1
            assert acknowledged * len(LARGE) < 2 * SEGMENT_BYTES, "it found files for a second segment"
        assert admin.offset(connection, "t") == (0, acknowledged)
        crowd.close()
        until(20, lambda: admin.produce(connection, "t", LARGE)[0] == 0, "writes resume")
        error, _, data = admin.fetch(connection, "t", acknowledged)
        assert (error, values(data)[0][0]) == (0, acknowledged)
    with broker.connect() as connection:
        assert admin.brokers(connection)
    assert broker.log.read_text().count("cannot accept connections") < 5
