"""Frames that no client sends. What Apache Kafka 3.9.1 answers was measured; where Dohle is stricter or kinder, the row says so."""

import struct

import pytest

from harness import admin, protocol
from harness.protocol import Writer, frame
from harness.records import Batch, values


@pytest.fixture(autouse=True)
def others_never_notice(broker):
    """A well-behaved connection that was there before goes on working, and new ones are served."""
    with broker.connect() as before:
        assert admin.brokers(before) == [0]
        yield
        assert admin.brokers(before) == [0]
        with broker.connect() as after:
            assert admin.brokers(after) == [0]


def metadata_v1(body, **options):
    return frame(protocol.METADATA, 1, body, **options)


CLOSED = {
    "length 0": struct.pack(">i", 0),
    "length -1": struct.pack(">i", -1),
    "length INT_MIN": struct.pack(">i", -(1 << 31)),
    "length INT_MAX": struct.pack(">i", (1 << 31) - 1),
    "length above socket.request.max.bytes": struct.pack(">i", 104_857_601),
    "length 1": struct.pack(">i", 1) + b"x",
    "length 7": struct.pack(">i", 7) + b"\x00" * 7,
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS hello": bytes.fromhex("16030100f8010000f40303") + b"\x5a" * 240,
    "unknown API key": frame(999, 0),
    "negative API key": frame(-1, 0),
    "unsupported version of a known API": frame(protocol.METADATA, 99, Writer().i32(0)),
    "negative version of a known API": frame(protocol.METADATA, -1, Writer().i32(0)),
    "array count INT_MAX": metadata_v1(Writer().i32((1 << 31) - 1)),
    "array count beyond the bytes": metadata_v1(Writer().i32(1000).string("a")),
    "string longer than the frame": metadata_v1(Writer().i32(1).i16(30_000).raw(b"abc")),
    "null where a string must be": metadata_v1(Writer().i32(1).string(None)),
    "body cut short": metadata_v1(b"\x00\x00"),
    "client id longer than the frame": Writer().i32(12).i16(3).i16(1).i32(1).i16(9999).raw(b"ab"),
    "compact array of 2^31-1": frame(protocol.METADATA, 9, Writer().uvarint((1 << 31) - 1).raw(b"\x00" * 8), flexible=True),
    "varint of ten bytes": frame(protocol.METADATA, 9, b"\xff" * 10 + b"\x01", flexible=True),
    "tagged field count 2^31-1": frame(protocol.METADATA, 9, Writer().uvarint(1).i8(0).i8(0).i8(0).uvarint((1 << 31) - 1), flexible=True),
    "tagged field longer than the frame": frame(
        protocol.METADATA, 9, Writer().uvarint(1).i8(0).i8(0).i8(0).uvarint(1).uvarint(77).uvarint(1 << 30), flexible=True),
    "ApiVersions 99 with request header v1": frame(protocol.API_VERSIONS, 99),
    "LeaderAndIsr cut short": frame(protocol.LEADER_AND_ISR, 0, b"\x00\x00\x00"),
    "StopReplica cut short": frame(protocol.STOP_REPLICA, 0, b"\x00\x00\x00"),
    "UpdateMetadata cut short": frame(protocol.UPDATE_METADATA, 0, b"\x00\x00\x00"),
    "Produce with a negative topic count of INT_MIN": frame(protocol.PRODUCE, 3, Writer().string(None).i16(-1).i32(1000).i32((1 << 31) - 1)),
    "Fetch with nested INT_MAX partitions": frame(
        protocol.FETCH, 4, Writer().i32(-1).i32(0).i32(0).i32(1000).i8(0).i32(1).string("t").i32((1 << 31) - 1)),
}


@pytest.mark.parametrize("case", CLOSED)
def test_the_connection_is_closed(broker, case):
    with broker.connect() as connection:
        connection.send(CLOSED[case])
        assert connection.closed(), "the broker neither closed nor was silent"


@pytest.mark.parametrize("body", [
    Writer().uvarint((1 << 32) - 1).raw(b"\x00" * 8),
    Writer().uvarint(1).i8(0).i8(0).i8(0).uvarint((1 << 32) - 1),
], ids=["compact array", "tagged fields"])
def test_a_count_of_32_bits_is_answered_or_ends_the_connection(broker, body):
    """Kafka reads 2^32-1 as a negative count, which is null or nothing; refusing it is as good."""
    with broker.connect(seconds=5) as connection:
        try:
            connection.ask(protocol.METADATA, 9, body, flexible=True)
        except (EOFError, ConnectionError):
            pass


@pytest.mark.parametrize("version", [5, 99, 32767, -1])
def test_api_versions_of_an_unknown_version_names_its_own_range(broker, version):
    """KIP-511: a v0 body with UNSUPPORTED_VERSION, so that a newer client can ask again."""
    with broker.connect() as connection:
        body = Writer().compact("name").compact("1.0").uvarint(0)
        answer = connection.ask(protocol.API_VERSIONS, version, body, flexible=True, flexible_answer=False)
        assert answer.i16() == 35
        offered = answer.array(lambda r: (r.i16(), r.i16(), r.i16()))
        assert [api for api in offered if api[0] == protocol.API_VERSIONS] == [(protocol.API_VERSIONS, 0, 4)]
        assert answer.left() == 0
        assert admin.brokers(connection) == [0], "the connection stays usable"


@pytest.mark.parametrize("client", [("", "1.0"), ("name", ""), ("a b", "1"), ("name", "1;drop")])
def test_api_versions_with_a_bad_client_name(broker, client):
    with broker.connect() as connection:
        body = Writer().compact(client[0]).compact(client[1]).uvarint(0)
        assert connection.ask(protocol.API_VERSIONS, 3, body, flexible=True, flexible_answer=False).i16() == 42


def test_array_length_minus_two_is_null(broker, topic):
    with broker.connect() as connection:
        answer = connection.ask(protocol.METADATA, 1, Writer().i32(-2))
        answer.array(lambda r: (r.i32(), r.string(), r.i32(), r.string()))
        answer.i32()
        assert 1 <= answer.i32(), "all topics"


@pytest.mark.parametrize("client_id", [b"\xff\xfe\x00", b"x" * 30_000, None, b"line\nbreak\x1b[31m"])
def test_odd_client_ids_are_served(broker, client_id):
    with broker.connect() as connection:
        assert connection.ask(protocol.METADATA, 1, Writer().i32(0), client_id=client_id).left() > 0


def test_bytes_after_the_end_are_ignored(broker):
    with broker.connect() as connection:
        assert connection.ask(protocol.METADATA, 1, Writer().i32(0).raw(b"more" * 10)).left() > 0


@pytest.mark.parametrize("key, version, body", [
    (protocol.SASL_HANDSHAKE, 1, Writer().string("PLAIN")),
    (protocol.SASL_AUTHENTICATE, 0, Writer().data(b"\x00user\x00password")),
], ids=["SaslHandshake", "SaslAuthenticate"])
def test_sasl_on_a_plain_listener(broker, key, version, body):
    with broker.connect() as connection:
        assert connection.ask(key, version, body).i16() == 34


EMPTY = {
    "Produce": (protocol.PRODUCE, 3, Writer().string(None).i16(-1).i32(1000).i32(0)),
    "Fetch": (protocol.FETCH, 4, Writer().i32(-1).i32(0).i32(0).i32(1000).i8(0).i32(0)),
    "ListOffsets": (protocol.LIST_OFFSETS, 1, Writer().i32(-1).i32(0)),
    "Metadata": (protocol.METADATA, 1, Writer().i32(0)),
    "CreateTopics": (protocol.CREATE_TOPICS, 2, Writer().i32(0).i32(1000).i8(0)),
    "DeleteTopics": (protocol.DELETE_TOPICS, 1, Writer().i32(0).i32(1000)),
    "DeleteRecords": (protocol.DELETE_RECORDS, 0, Writer().i32(0).i32(1000)),
    "OffsetForLeaderEpoch": (protocol.EPOCH_END, 2, Writer().i32(0)),
    "DescribeConfigs": (protocol.DESCRIBE_CONFIGS, 1, Writer().i32(0).i8(0)),
    "AlterConfigs": (protocol.ALTER_CONFIGS, 0, Writer().i32(0).i8(0)),
    "DescribeLogDirs": (protocol.DESCRIBE_LOG_DIRS, 1, Writer().i32(0)),
    "CreatePartitions": (protocol.CREATE_PARTITIONS, 0, Writer().i32(0).i32(1000).i8(0)),
    "ElectLeaders": (protocol.ELECT_LEADERS, 1, Writer().i8(0).i32(0).i32(1000)),
    "IncrementalAlterConfigs": (protocol.INCREMENTAL_ALTER_CONFIGS, 0, Writer().i32(0).i8(0)),
}


@pytest.mark.parametrize("api", EMPTY)
def test_an_empty_request_is_answered_with_nothing(broker, api):
    key, version, body = EMPTY[api]
    with broker.connect() as connection:
        assert connection.ask(key, version, body).left() > 0
        assert admin.brokers(connection) == [0], "the connection stays usable"


def test_fetch_of_an_unknown_session(broker, topic):
    with broker.connect() as connection:
        body = Writer().i32(-1).i32(0).i32(0).i32(1000).i8(0).i32(123_456).i32(7).i32(0).i32(0)
        answer = connection.ask(protocol.FETCH, 7, body)
        answer.i32()
        assert answer.i16() == 70


@pytest.mark.parametrize("known", [True, False], ids=["known topic", "unknown topic"])
def test_list_offsets_of_an_unknown_special_timestamp(broker, topic, known):
    with broker.connect() as connection:
        assert admin.offset(connection, topic if known else "nowhere", -99)[0] == 35


@pytest.mark.parametrize("waits", [(1 << 31) - 1, -1, 0])
@pytest.mark.parametrize("most", [(1 << 31) - 1, 0])
def test_odd_limits_of_a_fetch(broker, topic, waits, most):
    """Something to read comes at once, however long the client would wait and however much or little it would take."""
    with broker.connect() as connection:
        assert admin.produce(connection, topic, Batch([b"one"]).encode())[0] == 0
        error, high, data = admin.fetch(connection, topic, wait=waits, least=1, most=most)
        assert (error, high, values(data)) == (0, 1, [(0, b"one")])


def test_a_negative_fetch_size_is_an_error_or_reads_nothing(broker, topic):
    """Kafka answers UNKNOWN_SERVER_ERROR."""
    with broker.connect() as connection:
        assert admin.produce(connection, topic, Batch([b"one"]).encode())[0] == 0
        error, _, data = admin.fetch(connection, topic, wait=0, most=-1)
        assert error in (-1, 42) or (error == 0 and values(data) in ([], [(0, b"one")]))
