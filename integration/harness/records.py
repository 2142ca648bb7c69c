"""Record batches (magic 2) built byte by byte, so that every field can be made to lie; and their decoding."""

import dataclasses
import gzip
import struct

import crc32c
import lz4.frame
import snappy
import zstandard

from harness.protocol import Reader, Writer

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
COMPRESS = {
    0: lambda data: data, GZIP: gzip.compress, SNAPPY: snappy.compress,
    LZ4: lz4.frame.compress, ZSTD: zstandard.ZstdCompressor().compress,
}
HEADER_BYTES = 61


def record(value, delta=0, key=None):
    """One record; key and value may be None."""
    body = Writer().i8(0).varint(0).varint(delta)
    for part in (key, value):
        body.varint(-1) if part is None else body.varint(len(part)).raw(part)
    body.varint(0)
    return bytes(Writer().varint(len(body)).raw(body))


@dataclasses.dataclass
class Batch:
    """The fields of one batch. What is None is computed so that it is right."""

    values: list = dataclasses.field(default_factory=lambda: [b"value"])
    key: bytes = b"key"
    codec: int = 0
    attributes: int = None
    magic: int = 2
    base_offset: int = 0
    base_timestamp: int = 1_700_000_000_000
    length: int = None
    crc: int = None
    last_delta: int = None
    count: int = None
    producer: tuple = (-1, -1, -1)
    body: bytes = None  # replaces the (compressed) records

    def encode(self):
        body = self.body
        if body is None:
            plain = b"".join(record(value, delta, self.key) for delta, value in enumerate(self.values))
            body = COMPRESS[self.codec](plain)
        count = len(self.values) if self.count is None else self.count
        checked = (
            Writer().i16(self.codec if self.attributes is None else self.attributes)
            .i32(len(self.values) - 1 if self.last_delta is None else self.last_delta)
            .i64(self.base_timestamp).i64(self.base_timestamp)
            .i64(self.producer[0]).i16(self.producer[1]).i32(self.producer[2]).i32(count).raw(body)
        )
        crc = crc32c.crc32c(bytes(checked)) if self.crc is None else self.crc
        rest = Writer().i32(-1).i8(self.magic).raw(struct.pack(">I", crc)).raw(checked)
        return bytes(Writer().i64(self.base_offset).i32(len(rest) if self.length is None else self.length).raw(rest))


def values(data):
    """(offset, value) of every record in fetched, uncompressed batches; a cut batch at the end is left out."""
    found, at = [], 0
    while at + HEADER_BYTES <= len(data):
        base, length = struct.unpack_from(">qi", data, at)
        if len(data) < at + 12 + length:
            break
        (count,) = struct.unpack_from(">i", data, at + 57)
        reader = Reader(data[at + HEADER_BYTES : at + 12 + length])
        for _ in range(count):
            found.append(_record(base, Reader(reader.raw(_varint(reader)))))
        at += 12 + length
    return found


def intact(data):
    """What a consumer goes on with: the whole batches of `data` whose CRC is right."""
    kept, at = b"", 0
    while at + HEADER_BYTES <= len(data):
        (length,) = struct.unpack_from(">i", data, at + 8)
        batch = data[at : at + 12 + length]
        if length < HEADER_BYTES - 12 or len(batch) < 12 + length:
            break
        (crc,) = struct.unpack_from(">I", batch, 17)
        kept += batch if crc == crc32c.crc32c(batch[21:]) else b""
        at += 12 + length
    return kept


def _record(base, reader):
    reader.i8(), _varint(reader)
    offset = base + _varint(reader)
    for _ in range(2):
        length = _varint(reader)
        value = None if length < 0 else reader.raw(length)
    return offset, value


def _varint(reader):
    n = reader.uvarint()
    return (n >> 1) ^ -(n & 1)
