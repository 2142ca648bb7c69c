"""A disk that is full, and a disk whose fsync fails."""

import os
import re
import subprocess

import pytest

from harness import admin
from harness.process import run, until
from harness.records import Batch, values

LARGE = Batch([os.urandom(200_000)]).encode()
KAFKA_STORAGE_ERROR = 56


@pytest.fixture
def small_disk(folder):
    """A file system of 12 MiB."""
    place = folder / "disk"
    place.mkdir()
    mounted = run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", place], check=False)
    assert mounted.returncode == 0, f"this test mounts a tmpfs and needs to be root: {mounted.stderr}"
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.dohle
def test_a_full_disk_refuses_writes_serves_reads_and_resumes(brokers, coordination, small_disk):
    """Apache Kafka 3.9 ends here: its only log dir is offline."""
    broker = brokers(properties={"log.dirs": small_disk / "data", "log.index.size.max.bytes": 4096, "log.segment.bytes": 4 << 20}).start()
    broker.create_topic("t")
    with broker.connect() as connection:
        kept = 0
        while (error := admin.produce(connection, "t", LARGE)[0]) == 0:
            kept += 1
            assert kept < 100, "the disk never filled"
        assert error == KAFKA_STORAGE_ERROR
        assert 20 < kept
        assert admin.produce(connection, "t", LARGE)[0] == KAFKA_STORAGE_ERROR
        for offset in (0, kept - 1):
            error, _, data = admin.fetch(connection, "t", offset)
            assert (error, values(data)[0][0]) == (0, offset)

        run(["mount", "-o", "remount,size=64m", small_disk])
        until(10, lambda: admin.produce(connection, "t", LARGE) == (0, kept), "produce resumes when there is space")
        assert values(admin.fetch(connection, "t", kept)[2])[0][0] == kept
    broker.stop()
    broker.start()
    with broker.connect() as connection:
        until(20, lambda: admin.offset(connection, "t") == (0, kept + 1), "everything acknowledged is there")


@pytest.mark.dohle
def test_after_a_failed_fsync_nothing_is_acknowledged_until_reopened(brokers, coordination, folder):
    """Each thread's fortieth fdatasync of the segment answers EIO: no acknowledgement rests on it, none is lost, and service resumes.

    Only of the segment: the only log dir is given up, as by Kafka, when its checkpoints cannot be written. And of two threads: a partition
    whose disk fails three times within a minute is given up too."""
    segment = folder / "broker" / "data" / "t-0" / f"{0:020}.log"
    injected = ("strace", "-f", "-o", "/dev/null", "-P", segment, "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO:when=40")
    broker = brokers(wrapper=injected, at=folder / "broker", properties={"zookeeper.session.timeout.ms": 10_000, "num.io.threads": 2})
    broker.start(60)
    broker.create_topic("t")
    acknowledged, refused = {}, 0
    with broker.connect() as connection:
        for number in range(400):
            error, offset = admin.produce(connection, "t", Batch([b"%d" % number]).encode())
            if error == 0:
                acknowledged[offset] = b"%d" % number
            else:
                assert error == KAFKA_STORAGE_ERROR, f"error {error}"
                refused += 1
        assert 0 < refused, "the injected failures never came"
        until(60, lambda: admin.produce(connection, "t", Batch([b"after"]).encode())[0] == 0, "service resumes")
    broker.kill()
    again = brokers(zookeeper=broker.zookeeper, at=broker.folder).start()
    with again.connect() as connection:
        until(20, lambda: admin.offset(connection, "t")[0] == 0, "the partition is led")
        records, end = {}, admin.offset(connection, "t")[1]
        while len(records) < end:
            records.update(values(admin.fetch(connection, "t", len(records))[2]))
    assert {offset: records[offset] for offset in acknowledged} == acknowledged
    assert re.search(r"fsync|flush|log dir", broker.log.read_text(), re.I)


def test_segments_that_retention_took_are_let_go(brokers, coordination):
    """Nobody holds a removed file open: its space would not come back."""
    broker = brokers(properties={"log.retention.check.interval.ms": 50, "log.segment.delete.delay.ms": 50}).start()
    relaxed = {"durability": "page-cache"} if broker.kind == "dohle" else {}
    broker.create_topic("t", segment_bytes=str(1 << 20), retention_bytes=str(1 << 20), **relaxed)
    with broker.connect() as connection:
        for _ in range(100):
            assert admin.produce(connection, "t", LARGE, acks=1)[0] == 0
    start = lambda: admin.offset(connection, "t", admin.EARLIEST)[1]  # noqa: E731
    with broker.connect() as connection:
        # Kafka looks for the first time after 30 s.
        until(60, lambda: 80 < start(), "retention has removed the oldest segments")
    until(10, lambda: not broker.removed_files(), lambda: f"held open: {broker.removed_files()}")
