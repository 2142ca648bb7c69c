"""Record batches that lie. Nothing of them is ever appended, and the connection goes on working.

Each row has the code that Apache Kafka 3.9.1 answers and, where that is -1 UNKNOWN_SERVER_ERROR, the better ones allowed."""

import pytest

from harness import admin
from harness.records import GZIP, LZ4, SNAPPY, ZSTD, Batch, record, values

UNKNOWN_SERVER_ERROR, CORRUPT_MESSAGE, UNKNOWN_TOPIC_OR_PARTITION, MESSAGE_TOO_LARGE = -1, 2, 3, 10
INVALID_REQUIRED_ACKS, INVALID_TIMESTAMP, OUT_OF_ORDER, DUPLICATE, TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 21, 32, 45, 46, 53
UNSUPPORTED_COMPRESSION_TYPE, INVALID_RECORD, UNKNOWN_PRODUCER_ID, INVALID_PRODUCER_EPOCH = 76, 87, 59, 47
UNSUPPORTED_FOR_MESSAGE_FORMAT, INVALID_REQUEST = 43, 42
BAD = (UNKNOWN_SERVER_ERROR, CORRUPT_MESSAGE, INVALID_RECORD)

INT_MAX = (1 << 31) - 1
ROWS = {
    "wrong CRC": (Batch(crc=1).encode(), (CORRUPT_MESSAGE,)),
    "length too small": (Batch(length=10).encode(), (CORRUPT_MESSAGE,)),
    "length 0": (Batch(length=0).encode(), (CORRUPT_MESSAGE,)),
    "length negative": (Batch(length=-5).encode(), (CORRUPT_MESSAGE,)),
    "length far too big": (Batch(length=1 << 30).encode(), BAD),
    "length one more than the bytes": (Batch(length=len(Batch().encode()) - 11).encode(), BAD),
    "magic 9": (Batch(magic=9).encode(), (CORRUPT_MESSAGE,)),
    "magic -1": (Batch(magic=-1).encode(), (CORRUPT_MESSAGE,)),
    "61 zero bytes": (b"\x00" * 61, (CORRUPT_MESSAGE,)),
    "a few bytes": (b"\x00" * 5, BAD),
    "empty record set": (b"", (INVALID_RECORD,)),
    "count INT_MAX": (Batch(count=INT_MAX).encode(), (INVALID_RECORD,)),
    "count -1": (Batch(count=-1).encode(), (INVALID_RECORD,)),
    "count 0": (Batch(count=0).encode(), (INVALID_RECORD,)),
    "last offset delta does not fit": (Batch(last_delta=5).encode(), (INVALID_RECORD,)),
    "last offset delta INT_MAX": (Batch(last_delta=INT_MAX).encode(), (INVALID_RECORD,)),
    "codec 7": (Batch(attributes=7).encode(), (UNKNOWN_SERVER_ERROR, INVALID_RECORD, CORRUPT_MESSAGE, UNSUPPORTED_COMPRESSION_TYPE)),
    "two batches": (Batch().encode() * 2, (INVALID_RECORD,)),
    "control batch": (Batch(attributes=0x20).encode(), (INVALID_RECORD,)),
    "negative sequence": (Batch(producer=(4711, 0, -1)).encode(), (INVALID_RECORD, OUT_OF_ORDER)),
}


def refuse(broker, topic, records, codes, **options):
    """Produces, expects one of the codes, and that the log stays as it was and the connection usable."""
    with broker.connect() as connection:
        before = admin.offset(connection, topic)
        error, _ = admin.produce(connection, topic, records, **options)
        assert error in codes
        assert admin.offset(connection, topic) == before, "something was appended"
        assert admin.produce(connection, topic, Batch([b"good"]).encode())[0] == 0
        assert values(admin.fetch(connection, topic, before[1])[2]) == [(before[1], b"good")]


@pytest.mark.parametrize("row", ROWS)
def test_nothing_is_appended(broker, topic, row):
    records, codes = ROWS[row]
    refuse(broker, topic, records, codes)


@pytest.mark.dohle
def test_a_null_record_set(broker, topic):
    """Kafka 3.9.1 does not answer this one at all: its client waits until it gives up."""
    refuse(broker, topic, None, (INVALID_RECORD, INVALID_REQUEST, CORRUPT_MESSAGE))


@pytest.mark.parametrize("records", [
    Batch([b"first"]).encode() + Batch([b"second"]).encode()[:30],
    Batch([b"first"], producer=(4711, -1, 0)).encode(),
], ids=["second batch cut short", "producer id without an epoch"])
def test_refused_or_exactly_the_first_batch_is_taken(broker, topic, records):
    """Kafka takes the whole batch and leaves the rest; refusing is as good."""
    with broker.connect() as connection:
        error, _ = admin.produce(connection, topic, records)
        assert error in (0, *BAD, INVALID_PRODUCER_EPOCH)
        kept = values(admin.fetch(connection, topic, wait=0)[2])
        assert kept == ([(0, b"first")] if error == 0 else [])


@pytest.mark.parametrize("attributes", [0x10, 0x30], ids=["transactional", "transactional control"])
def test_transactional_without_a_transactional_id(broker, topic, attributes):
    codes = (TRANSACTIONAL_ID_AUTHORIZATION_FAILED, INVALID_RECORD)
    refuse(broker, topic, Batch(attributes=attributes, producer=(1, 0, 0)).encode(), codes)


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD], ids=["gzip", "snappy", "lz4", "zstd"])
def test_a_compressed_batch_of_garbage_never_reaches_a_consumer_as_records(broker, topic, codec):
    """Kafka inflates and answers -1. A broker that does not inflate may store it: its CRC is right, and clients say what they see."""
    with broker.connect() as connection:
        error, _ = admin.produce(connection, topic, Batch(codec=codec, body=b"\x99" * 200).encode())
        assert error in (0, *BAD)
        _, _, data = admin.fetch(connection, topic, wait=0)
        assert (error == 0) == (data != b"")


def test_wrong_crc_of_every_header_bit(broker, topic):
    """Flips each bit behind the CRC's own field: the CRC covers all of them."""
    good = Batch([b"value"]).encode()
    with broker.connect() as connection:
        for bit in range(17 * 8, len(good) * 8):
            flipped = bytearray(good)
            flipped[bit // 8] ^= 1 << bit % 8
            error, _ = admin.produce(connection, topic, bytes(flipped))
            assert error in (CORRUPT_MESSAGE, TRANSACTIONAL_ID_AUTHORIZATION_FAILED), f"bit {bit}"
        assert admin.offset(connection, topic) == (0, 0)


@pytest.mark.parametrize("options, code", [
    ({"acks": 5}, INVALID_REQUIRED_ACKS), ({"acks": -2}, INVALID_REQUIRED_ACKS),
    ({"partition": -1}, UNKNOWN_TOPIC_OR_PARTITION), ({"partition": INT_MAX}, UNKNOWN_TOPIC_OR_PARTITION),
])
def test_bad_acks_and_partitions(broker, topic, options, code):
    refuse(broker, topic, Batch().encode(), (code,), **options)


@pytest.mark.parametrize("name", ["../../etc", ".", "..", "a/b", "x" * 250, "nul\x00", "", "umlaut-ä"])
def test_names_that_are_no_topic(broker, name):
    with broker.connect() as connection:
        assert admin.produce(connection, name, Batch().encode())[0] in (UNKNOWN_TOPIC_OR_PARTITION, 17)
        assert admin.try_create_topic(connection, name)[0] == 17
        assert admin.fetch(connection, name, wait=0)[0] in (UNKNOWN_TOPIC_OR_PARTITION, 17)


def test_names_that_collide(broker, name):
    base = name("a.b")
    broker.create_topic(base)
    with broker.connect() as connection:
        assert admin.try_create_topic(connection, base.replace(".", "_"))[0] == 17


def test_a_batch_above_max_message_bytes(broker, name):
    topic = broker.create_topic(name("small"), max_message_bytes="1000")
    refuse(broker, topic, Batch([b"x" * 2000]).encode(), (MESSAGE_TOO_LARGE,))


def test_a_record_without_key_on_a_compacted_topic(broker, name):
    topic = broker.create_topic(name("compacted"), cleanup_policy="compact")
    with broker.connect() as connection:
        assert admin.produce(connection, topic, Batch([b"v"], key=None).encode())[0] == INVALID_RECORD
        assert admin.offset(connection, topic) == (0, 0)
        assert admin.produce(connection, topic, Batch([b"v"], key=b"k").encode())[0] == 0


def test_a_timestamp_outside_the_bounds(broker, name):
    topic = broker.create_topic(name("bounded"), message_timestamp_after_max_ms="1000", message_timestamp_before_max_ms=str(1 << 60))
    refuse_only = Batch(base_timestamp=9_000_000_000_000).encode()
    with broker.connect() as connection:
        assert admin.produce(connection, topic, refuse_only)[0] == INVALID_TIMESTAMP
        assert admin.produce(connection, topic, Batch().encode())[0] == 0


def test_sequences_of_an_idempotent_producer(broker, topic):
    """In order, again, out of order, from an older epoch, and from a producer that nobody knows."""
    with broker.connect() as connection:
        identity, epoch = admin.producer_id(connection)
        send = lambda sequence, values=1, epoch=epoch, identity=identity: admin.produce(
            connection, topic, Batch([b"v"] * values, producer=(identity, epoch, sequence)).encode())
        assert [send(0, 2), send(2), send(3)] == [(0, 0), (0, 2), (0, 3)]
        assert send(2) == (0, 2), "a repeated batch is acknowledged with the offset it has"
        assert send(0, 2) == (0, 0)
        assert send(9)[0] == OUT_OF_ORDER
        assert send(4, epoch=epoch + 1)[0] == OUT_OF_ORDER, "a new epoch begins with sequence 0"
        assert send(0, epoch=epoch + 1) == (0, 4)
        assert send(4)[0] == INVALID_PRODUCER_EPOCH
        assert send(9, identity=identity + 100_000)[0] in (INVALID_RECORD, UNKNOWN_PRODUCER_ID, OUT_OF_ORDER, 0)
        identities = {admin.producer_id(connection)[0] for _ in range(5)}
        assert len(identities) == 5 and identity not in identities
