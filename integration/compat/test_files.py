"""The same requests leave the same files as Apache Kafka 3.9 leaves: names, segments, indexes and checkpoints to the byte."""

import pytest

from harness import admin
from harness.records import ZSTD, Batch

IDENTICAL = (".log", ".index", ".timeindex", ".txnindex")
SETTINGS = {"log.segment.bytes": 16_384, "log.index.interval.bytes": 1024, "log.index.size.max.bytes": 4096}


def operate(broker):
    broker.create_topic("plain", 2)
    broker.create_topic("numbered")
    with broker.connect() as connection:
        identity = admin.producer_id(connection)
        for number in range(60):
            batch = Batch([b"%d " % n * 30 for n in range(10)], codec=(0, ZSTD)[number % 2], base_timestamp=1_700_000_000_000 + number * 10)
            assert admin.produce(connection, "plain", batch.encode(), number % 2)[0] == 0
            if number < 3:
                assert admin.produce(connection, "numbered", Batch([b"v"], producer=(*identity, number)).encode())[0] == 0


def files(folder):
    """Relative path and bytes of what a cleanly stopped broker leaves."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def left(brokers, kind, zookeeper):
    both = []
    for which, root in [("kafka", "/of-kafka"), (kind, "/of-ours")]:
        broker = brokers(which, f"{zookeeper.address}{root}", SETTINGS).start()
        operate(broker)
        broker.stop()
        both.append(files(broker.data))
    return both


def test_the_same_files(left):
    theirs, ours = left
    known_names = lambda found: {name for name in found if not name.startswith("zookeeper-session")}
    assert known_names(ours) >= known_names(theirs) - {"cleaner-offset-checkpoint"}
    assert {name for name in known_names(ours) if "/" in name} == {name for name in theirs if "/" in name}
    for name, data in theirs.items():
        if name.endswith(IDENTICAL):
            assert ours[name] == data, name
        if name.endswith("checkpoint") and name != "cleaner-offset-checkpoint":  # in the order of a hash map
            assert sorted(ours[name].splitlines()) == sorted(data.splitlines()), name
    pairs = lambda data: dict(line.split("=") for line in data.decode().splitlines() if not line.startswith("#"))
    assert pairs(ours["meta.properties"]).keys() == pairs(theirs["meta.properties"]).keys()
    assert {k: v for k, v in pairs(ours["meta.properties"]).items() if k != "cluster.id"} == {"broker.id": "0", "version": "0"}
