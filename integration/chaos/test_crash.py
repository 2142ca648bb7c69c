"""kill -9, torn tails, damaged files: what was acknowledged as flushed is there, in order, once; nothing is invented."""

import threading

import pytest

from harness import admin
from harness.cluster import start_again
from harness.process import until
from harness.records import Batch, intact, values

CORRUPT_MESSAGE, KAFKA_STORAGE_ERROR = 2, 56
SESSION = {"zookeeper.session.timeout.ms": 2000, "zookeeper.connection.timeout.ms": 20000}


def served(broker, topic, partitions=1):
    """Waits until every partition answers again, and returns all (offset, value) of them, partition by partition."""
    found = []
    with broker.connect() as connection:
        for partition in range(partitions):
            until(20, lambda: admin.offset(connection, topic, partition=partition)[0] == 0, "the partition is led")
            until(20, lambda: admin.metadata(connection, [topic])[2][topic][0] == 0, "the topic is known")
            end, at, records = admin.offset(connection, topic, partition=partition)[1], 0, []
            while at < end:
                error, _, data = admin.fetch(connection, topic, at, partition)
                assert error == 0
                records += [record for record in values(data) if at <= record[0]]
                at = records[-1][0] + 1
            found.append(records)
    return found if 1 < partitions else found[0]


@pytest.mark.parametrize("round_", range(3))
def test_kill_under_load(brokers, coordination, round_):
    """Four connections with acks=all, killed in the middle: every acknowledged offset holds what was sent."""
    broker = brokers(properties=SESSION).start()
    broker.create_topic("t", 4, segment_bytes="100000")
    acknowledged, lock = {}, threading.Lock()
    enough = threading.Event()

    def write(partition):
        try:
            with broker.connect() as connection:
                for number in range(1_000_000):
                    value = b"%d/%d " % (partition, number) * 10
                    error, offset = admin.produce(connection, "t", Batch([value]).encode(), partition)
                    if error == 0:
                        with lock:
                            acknowledged[partition, offset] = value
                            if 500 * (round_ + 1) < len(acknowledged):
                                enough.set()
        except (OSError, EOFError):
            pass  # the broker died, as it should

    writers = [threading.Thread(target=write, args=(partition,)) for partition in range(4)]
    for writer in writers:
        writer.start()
    assert enough.wait(60)
    broker.kill()
    for writer in writers:
        writer.join()

    partitions = served(start_again(broker), "t", 4)
    for (partition, offset), value in acknowledged.items():
        assert partitions[partition][offset] == (offset, value)
    for partition, records in enumerate(partitions):
        assert [offset for offset, _ in records] == list(range(len(records)))
        numbers = [int(value.split(b"/")[1].split()[0]) for _, value in records]
        assert numbers == sorted(set(numbers)), "a record is there twice or out of order"


@pytest.fixture
def stopped(brokers, coordination):
    """A broker killed with 30 batches in one partition: (broker, folder of the partition, values)."""
    broker = brokers(properties=SESSION).start()
    broker.create_topic("t", segment_bytes="4000", index_interval_bytes="500")
    sent = [b"%d " % number * 20 for number in range(30)]
    with broker.connect() as connection:
        for number, value in enumerate(sent):
            assert admin.produce(connection, "t", Batch([value]).encode()) == (0, number)
    broker.kill()
    return broker, broker.data / "t-0", sent


@pytest.mark.parametrize("cut", [1, 11, 12, 60, 61, 62, 100])
def test_a_torn_tail_is_cut(stopped, cut):
    broker, folder, sent = stopped
    last = max(folder.glob("*.log"))
    size = last.stat().st_size
    with open(last, "r+b") as file:
        file.truncate(size - min(cut, size))
    records = served(start_again(broker), "t")
    assert records == list(enumerate(sent))[: len(records)] and len(records) == len(sent) - 1
    with broker.connect() as connection:
        assert admin.produce(connection, "t", Batch([b"goes on"]).encode()) == (0, len(sent) - 1)


def test_zeros_and_garbage_behind_the_tail_are_cut(stopped):
    broker, folder, sent = stopped
    with open(max(folder.glob("*.log")), "ab") as file:
        file.write(b"\x00" * 500 + b"\x7f" * 300)
    assert served(start_again(broker), "t") == list(enumerate(sent))


@pytest.mark.parametrize("ending", ["index", "timeindex", "snapshot"])
@pytest.mark.parametrize("damage", ["missing", "empty", "garbage", "cut"])
def test_damaged_indexes_and_snapshots_are_rebuilt(stopped, ending, damage):
    broker, folder, sent = stopped
    for file in folder.glob(f"*.{ending}"):
        spoil(file, damage)
    assert served(start_again(broker), "t") == list(enumerate(sent))
    with broker.connect() as connection:
        assert admin.offset(connection, "t", 1_700_000_000_000) == (0, 0)


@pytest.mark.parametrize("name", ["recovery-point-offset-checkpoint", "replication-offset-checkpoint",
                                  "log-start-offset-checkpoint", "t-0/leader-epoch-checkpoint"])
@pytest.mark.parametrize("damage", ["missing", "empty", "garbage"])
@pytest.mark.dohle
def test_damaged_checkpoints_never_lose_records(stopped, name, damage):
    """Rebuilt, or refused with the file's name: never served wrong. (Apache Kafka 3.9 ends on some of them.)"""
    broker, folder, sent = stopped
    file = folder.parent / name
    if not file.exists():
        file.write_text("0\n0\n")
    spoil(file, damage)
    try:
        start_again(broker, seconds=10)
    except AssertionError:
        assert file.name in broker.log.read_text()
        return
    assert served(broker, "t") == list(enumerate(sent))


def spoil(file, damage):
    data = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes({"empty": b"", "garbage": bytes(range(256))[: max(len(data), 24)], "cut": data[: len(data) // 2 + 1]}[damage])


@pytest.mark.dohle
def test_a_flipped_bit_below_the_recovery_point_is_never_served(brokers, coordination):
    """A batch below the flushed end is bad: consumers get an error or what lies before it, and nothing behind it is cut off."""
    broker = brokers(properties=SESSION).start()
    broker.create_topic("t", segment_bytes="2000")
    with broker.connect() as connection:
        for number in range(30):
            assert admin.produce(connection, "t", Batch([b"%d " % number * 20]).encode()) == (0, number)
    broker.stop()
    logs = sorted((broker.data / "t-0").glob("*.log"))
    flipped = bytearray(logs[1].read_bytes())
    flipped[len(flipped) // 2] ^= 0x10
    logs[1].write_bytes(flipped)
    sizes = [log.stat().st_size for log in logs]
    start_again(broker)
    with broker.connect() as connection:
        until(20, lambda: admin.offset(connection, "t")[0] in (0, KAFKA_STORAGE_ERROR), "the partition answers, or says that its log is bad")
        for offset in range(30):
            error, _, data = admin.fetch(connection, "t", offset, wait=0)
            assert error in (0, CORRUPT_MESSAGE, KAFKA_STORAGE_ERROR)
            assert all(value == b"%d " % at * 20 for at, value in values(intact(data)))
    assert [log.stat().st_size for log in logs] == sizes, "nothing below the recovery point is cut"


@pytest.mark.parametrize("at, damage", [(0, bytes(61)), (8, b"\x10"), (16, b"\x12"), (70, b"\xff")], ids=["zeros", "length", "magic", "record"])
def test_a_batch_that_goes_bad_under_a_running_broker(broker, topic, at, damage):
    """An error, or bytes whose CRC tells the consumer: never wrong records, and what lies around is served as before."""
    with broker.connect() as connection:
        for number in range(5):
            assert admin.produce(connection, topic, Batch([b"%d " % number * 20]).encode()) == (0, number)
        [log] = (broker.data / f"{topic}-0").glob("*.log")
        with open(log, "r+b") as file:
            file.seek(3 * log.stat().st_size // 5 + at)
            file.write(damage)
        error, _, data = admin.fetch(connection, topic, 3, wait=0)
        assert error in (0, CORRUPT_MESSAGE)
        assert all(value == b"%d " % offset * 20 for offset, value in values(intact(data)))
        for offset in (0, 2):
            error, _, data = admin.fetch(connection, topic, offset, wait=0, most=100)
            assert (error, values(intact(data))[0]) == (0, (offset, b"%d " % offset * 20))
        assert admin.produce(connection, topic, Batch([b"goes on"]).encode()) == (0, 5)
        # Nobody else is to find it.
        assert admin.delete_topic(connection, topic) == 0


def test_every_partition_of_many_is_there_after_a_kill(brokers, coordination):
    broker = brokers(properties=SESSION).start()
    for number in range(10):
        broker.create_topic(f"t{number}", 20)
        with broker.connect() as connection:
            for partition in range(20):
                assert admin.produce(connection, f"t{number}", Batch([b"%d" % partition]).encode(), partition) == (0, 0)
    broker.kill()
    start_again(broker)
    for number in range(10):
        assert served(broker, f"t{number}", 20) == [[(0, b"%d" % partition)] for partition in range(20)]


def test_a_data_directory_in_use_is_refused(brokers, coordination):
    first = brokers().start()
    second = brokers(properties={"log.dirs": first.data}).launch()
    assert second.exit_code(30) != 0
    assert "lock" in second.log.read_text().lower()
    with first.connect() as connection:
        assert admin.brokers(connection) == [0]


def test_a_port_in_use_is_refused(brokers, coordination):
    first = brokers().start()
    second = brokers(properties={"broker.id": 1}, port=first.port).launch()
    assert second.exit_code(30) != 0
    said = second.log.read_text()
    assert str(first.port) in said and ("in use" in said or "already" in said)


def test_a_stop_is_clean_and_the_next_start_recovers_nothing(brokers, coordination):
    broker = brokers().start()
    broker.create_topic("t")
    with broker.connect() as connection:
        assert admin.produce(connection, "t", Batch([b"v"]).encode()) == (0, 0)
    assert broker.stop() in (0, 143)
    assert (broker.data / ".kafka_cleanshutdown").exists()
    assert "t 0 1" in (broker.data / "recovery-point-offset-checkpoint").read_text()
    broker.start()
    assert not (broker.data / ".kafka_cleanshutdown").exists()
    assert served(broker, "t") == [(0, b"v")]
