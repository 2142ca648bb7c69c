"""Kafka's wire protocol, as little of it as the tests need to say things that no client library would say."""

import socket
import struct

# Keys of the APIs that the tests name.
PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
LEADER_AND_ISR, STOP_REPLICA, UPDATE_METADATA = 4, 5, 6
FIND_COORDINATOR, JOIN_GROUP, SASL_HANDSHAKE, API_VERSIONS = 10, 11, 17, 18
CREATE_TOPICS, DELETE_TOPICS, DELETE_RECORDS, INIT_PRODUCER_ID, EPOCH_END = 19, 20, 21, 22, 23
DESCRIBE_CONFIGS, ALTER_CONFIGS, DESCRIBE_LOG_DIRS, SASL_AUTHENTICATE = 32, 33, 35, 36
CREATE_PARTITIONS, ELECT_LEADERS, INCREMENTAL_ALTER_CONFIGS, DESCRIBE_CLUSTER, DESCRIBE_PRODUCERS = 37, 43, 44, 60, 61


class Writer(bytearray):
    """Big-endian building blocks; each returns the writer, so that a request reads as one chain."""

    def raw(self, more):
        self += more
        return self

    def i8(self, n):
        return self.raw(struct.pack(">b", n))

    def i16(self, n):
        return self.raw(struct.pack(">h", n))

    def i32(self, n):
        return self.raw(struct.pack(">i", n))

    def i64(self, n):
        return self.raw(struct.pack(">q", n))

    def string(self, text):
        if text is None:
            return self.i16(-1)
        text = text if isinstance(text, bytes) else text.encode()
        return self.i16(len(text)).raw(text)

    def data(self, data):
        return self.i32(-1) if data is None else self.i32(len(data)).raw(data)

    def array(self, items, each):
        if items is None:
            return self.i32(-1)
        self.i32(len(items))
        for item in items:
            each(self, item)
        return self

    def uvarint(self, n):
        while 0x7F < n:
            self.append(n & 0x7F | 0x80)
            n >>= 7
        self.append(n)
        return self

    def varint(self, n):
        return self.uvarint((n << 1) ^ (n >> 63) if n < 0 else n << 1)

    def compact(self, text):
        return self.uvarint(0) if text is None else self.uvarint(len(text) + 1).raw(text if isinstance(text, bytes) else text.encode())


class Reader:
    """Reads an answer front to back."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def raw(self, length):
        assert self.at + length <= len(self.data), "the answer is shorter than its fields"
        self.at += length
        return self.data[self.at - length : self.at]

    def _number(self, layout, length):
        return struct.unpack(layout, self.raw(length))[0]

    def i8(self):
        return self._number(">b", 1)

    def i16(self):
        return self._number(">h", 2)

    def i32(self):
        return self._number(">i", 4)

    def i64(self):
        return self._number(">q", 8)

    def uvarint(self):
        number = shift = 0
        while True:
            byte = self.raw(1)[0]
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    def string(self):
        length = self.i16()
        return None if length < 0 else self.raw(length).decode()

    def bytes(self):
        length = self.i32()
        return None if length < 0 else self.raw(length)

    def array(self, each):
        return [each(self) for _ in range(max(self.i32(), 0))]

    def left(self):
        return len(self.data) - self.at


def frame(key, version, body=b"", correlation=1, client_id="black-box", flexible=False):
    """A whole request with its length prefix. `flexible` asks for request header v2."""
    header = Writer().i16(key).i16(version).i32(correlation).string(client_id)
    if flexible:
        header.uvarint(0)
    return Writer().i32(len(header) + len(body)).raw(header).raw(body)


class Connection:
    """One TCP connection that may misbehave."""

    def __init__(self, port, seconds=20, receive_buffer=None, host="127.0.0.1"):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(seconds)
        self.socket.connect((host, port))
        self.correlation = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """The next answer, without its length prefix. EOFError when the broker closed."""
        return self._exactly(struct.unpack(">i", self._exactly(4))[0])

    def ask(self, key, version, body=b"", flexible=False, client_id="black-box", flexible_answer=None):
        """Sends a request and returns a reader that stands behind the answer's header."""
        self.correlation += 1
        self.send(frame(key, version, body, self.correlation, client_id, flexible))
        answer = Reader(self.receive())
        assert answer.i32() == self.correlation, "the answer belongs to another request"
        if flexible if flexible_answer is None else flexible_answer:
            assert answer.i8() == 0, "no tagged fields in the header"
        return answer

    def closed(self, seconds=10):
        """Whether the broker closes this connection without another byte."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def _exactly(self, length):
        parts = []
        while 0 < length:
            part = self.socket.recv(min(length, 1 << 20))
            if not part:
                raise EOFError("the broker closed the connection")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)
