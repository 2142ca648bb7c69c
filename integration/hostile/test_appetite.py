"""Clients that want more than there is: counts, bombs, floods, silence. Others never notice, and memory stays bounded."""

import os
import random
import socket
import threading
import time

import pytest

from harness import admin, protocol
from harness.process import until
from harness.protocol import Writer, frame
from harness.records import GZIP, LZ4, SNAPPY, ZSTD, Batch, COMPRESS, values

MIB = 1 << 20
INVALID_PARTITIONS = 37


def grown(broker, before):
    return broker.memory()[0] - before


@pytest.mark.dohle
@pytest.mark.parametrize("partitions", [(1 << 31) - 1, 1_000_000, 0, -5])
def test_create_topics_with_absurd_partitions(broker, name, partitions):
    """50 bytes that take Apache Kafka 3.9.1 away for over a minute."""
    with broker.connect(seconds=3) as connection:
        before = broker.memory()[0]
        assert admin.try_create_topic(connection, name("absurd"), partitions)[0] == INVALID_PARTITIONS
        assert grown(broker, before) < 4 * MIB


@pytest.mark.dohle
@pytest.mark.parametrize("count", [(1 << 31) - 1, 1_000_000])
def test_create_partitions_with_absurd_counts(broker, topic, count):
    with broker.connect(seconds=3) as connection:
        body = Writer().i32(1).string(topic).i32(count).i32(-1).i32(5000).i8(0)
        answer = connection.ask(protocol.CREATE_PARTITIONS, 0, body)
        answer.i32()
        assert answer.array(lambda r: (r.string(), r.i16(), r.string()))[0][1] == INVALID_PARTITIONS


@pytest.mark.dohle
@pytest.mark.parametrize("announced", [104_857_600, 50_000_000])
def test_a_frame_that_is_announced_and_never_sent_costs_nothing(broker, crowd, announced):
    """Memory is taken as bytes come, not as they are announced. (Kafka allocates the whole frame at once, and runs out.)"""
    before = broker.memory()[0]
    for connection in crowd(20):
        connection.send(Writer().i32(announced).raw(b"\x00" * 100))
    with broker.connect() as other:
        assert admin.brokers(other) == [0]
    assert grown(broker, before) < 8 * MIB


@pytest.mark.dohle
@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD], ids=["gzip", "snappy", "lz4", "zstd"])
def test_a_bomb_is_never_inflated(broker, topic, codec):
    """One record of 512 MiB zeros in a batch that is small enough; where the broker does not look inside, it may store it."""
    bomb = COMPRESS[codec](b"\x00" * (512 * MIB if codec in (GZIP, ZSTD) else 64 * MIB))
    if 1_900_000 < len(bomb):
        bomb = bomb[:1_900_000]
    with broker.connect(seconds=10) as connection:
        before = broker.memory()[0]
        for _ in range(5):
            assert admin.produce(connection, topic, Batch(codec=codec, body=bomb).encode())[0] in (0, 2, 10, 87)
        assert grown(broker, before) < 24 * MIB


@pytest.mark.dohle
@pytest.mark.parametrize("policy", ["delete", "compact"])
def test_a_snappy_header_that_lies(broker, name, policy):
    """It claims 2 GiB; Kafka 3.9.1 allocates what it says, where it looks inside."""
    topic = broker.create_topic(name("liar"), cleanup_policy=policy)
    lie = bytes(Writer().uvarint((1 << 31) - 1).raw(b"\x00" * 50))
    framed = b"\x82SNAPPY\x00" + bytes(Writer().i32(1).i32(1).i32(len(lie)).raw(lie))
    with broker.connect(seconds=10) as connection:
        before = broker.memory()[0]
        for body in (lie, framed):
            assert admin.produce(connection, topic, Batch(codec=SNAPPY, body=body).encode())[0] in (0, 2, 10, 87)
        assert grown(broker, before) < 8 * MIB


def test_a_client_that_never_reads(broker, crowd, topic):
    """It asks for what is there again and again; the broker stops reading it once its answers do not leave."""
    with broker.connect() as connection:
        for _ in range(16):
            assert admin.produce(connection, topic, Batch([os.urandom(900_000)]).encode())[0] == 0
        [deaf] = crowd(1, receive_buffer=4096)
        request = frame(protocol.FETCH, 4, admin.fetch_body(topic, 0, most=16 * MIB))
        deaf.socket.settimeout(2)
        before = broker.memory()[0]
        try:
            for _ in range(100_000):
                deaf.send(request)
        except (TimeoutError, ConnectionError):
            pass  # its socket is full, as it should be, or it was cut off
        else:
            pytest.fail("100,000 requests were taken from a client that reads nothing")
        assert admin.brokers(connection) == [0]
        assert grown(broker, before) < 96 * MIB


def test_a_flood_of_pipelined_requests_is_answered_in_order(broker):
    requests, answers = 20_000, 0
    with broker.connect() as connection:
        flood = b"".join(bytes(frame(protocol.METADATA, 1, Writer().i32(0), correlation)) for correlation in range(requests))
        sender = threading.Thread(target=connection.send, args=(flood,))
        sender.start()
        for correlation in range(requests):
            assert protocol.Reader(connection.receive()).i32() == correlation
            answers += 1
        sender.join()
    assert answers == requests


def test_one_byte_at_a_time_is_served(broker):
    """A slow client is no wrong client."""
    with broker.connect() as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in frame(protocol.METADATA, 1, Writer().i32(0)):
            connection.send(bytes([byte]))
        assert protocol.Reader(connection.receive()).i32() == 1


def test_half_open_and_reset_connections_give_their_descriptors_back(broker):
    with broker.connect() as connection:
        assert admin.brokers(connection) == [0]
        before = broker.open_files()
        for round_ in range(300):
            with broker.connect() as short:
                if round_ % 3 == 0:
                    short.send(b"\x00\x00")  # in the middle of a length
                elif round_ % 3 == 1:
                    short.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # RST
                else:
                    short.send(Writer().i32(1000).raw(b"half a frame"))
        until(20, lambda: broker.open_files() <= before + 5, lambda: f"{broker.open_files()} files open, {before} before")
        assert admin.brokers(connection) == [0]


def test_many_idle_connections(broker, crowd, kind):
    """1,000 of them: less than 4 KiB each in the broker, and a request between them is answered."""
    before = broker.memory()[0]
    crowd(1000)
    with broker.connect(seconds=10) as connection:
        assert admin.brokers(connection) == [0]
        until(10, lambda: 1000 <= broker.open_files(), "the connections are accepted")
        assert admin.brokers(connection) == [0]
    if kind == "dohle":
        assert grown(broker, before) < 1000 * 4096


def test_idle_connections_are_closed(brokers, coordination):
    broker = brokers(properties={"connections.max.idle.ms": 1500}).start()
    with broker.connect() as connection:
        assert connection.closed(10)


def test_a_connection_limit_keeps_those_inside_served(brokers, coordination):
    broker = brokers(properties={"max.connections.per.ip": 20}).start()
    with broker.connect() as inside:
        assert admin.brokers(inside) == [0]
        more = [broker.connect(seconds=5) for _ in range(40)]
        until(10, lambda: 10 < sum(closed_now(connection) for connection in more), "those above the limit are closed")
        assert admin.brokers(inside) == [0]
        for connection in more:
            connection.socket.close()


def closed_now(connection):
    connection.socket.setblocking(False)
    try:
        return connection.socket.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_waiting_fetches_are_woken_without_a_stampede(broker, crowd, topic):
    """500 connections wait for the same record; all get it."""
    waiting = crowd(500)
    for connection in waiting:
        connection.send(frame(protocol.FETCH, 4, admin.fetch_body(topic, 0, wait=60_000)))
    with broker.connect() as connection:
        assert admin.produce(connection, topic, Batch([b"wake"]).encode())[0] == 0
    for connection in waiting:
        assert b"wake" in connection.receive()


@pytest.mark.dohle
def test_bad_requests_do_not_flood_the_log(broker):
    """1,000 of them from one peer leave a bounded number of lines."""
    before = broker.log.stat().st_size
    for _ in range(1000):
        with broker.connect() as connection:
            connection.send(frame(999, 0))
            assert connection.closed()
    assert broker.log.stat().st_size - before < 100_000


def test_a_producer_is_served_while_others_misbehave(broker, topic):
    """Frames of random bytes from a few connections for two seconds, and a producer beside them that loses nothing."""
    stop = time.monotonic() + 2
    generator = random.Random(7)

    def misbehave():
        while time.monotonic() < stop:
            try:
                with broker.connect(seconds=1) as bad:
                    noise = generator.randbytes(generator.randrange(200))
                    bad.send(frame(generator.randrange(70), generator.randrange(12), noise, flexible=generator.random() < 0.5))
                    bad.socket.settimeout(0.05)
                    bad.socket.recv(100)
            except OSError:
                pass

    threads = [threading.Thread(target=misbehave) for _ in range(4)]
    for thread in threads:
        thread.start()
    sent = 0
    with broker.connect() as connection:
        while time.monotonic() < stop:
            assert admin.produce(connection, topic, Batch([b"%d" % sent]).encode()) == (0, sent)
            sent += 1
        for thread in threads:
            thread.join()
        assert [value for _, value in values(admin.fetch(connection, topic)[2])][:10] == [b"%d" % n for n in range(10)]
        assert admin.offset(connection, topic) == (0, sent)
