"""Record batches (magic 2) built byte by byte, so that every field can be made to lie; and their decoding."""

import dataclasses
import gzip
import struct
import zlib

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


def message(value, key=b"key", magic=1, offset=0, timestamp=1_700_000_000_000, attributes=0, crc=None):
    """One message of the formats before 2, magic 0 or 1."""
    body = Writer().i8(magic).i8(attributes)
    if magic:
        body.i64(timestamp)
    body.data(key).data(value)
    return bytes(Writer().i64(offset).i32(len(body) + 4).raw(struct.pack(">I", zlib.crc32(body) if crc is None else crc)).raw(body))


def wrapped(codec, *inside, magic=1, offset=None, **fields):
    """Messages compressed into one, whose offset is that of the last."""
    offset = len(inside) - 1 if offset is None else offset
    return message(COMPRESS[codec](b"".join(inside)), None, magic, offset, attributes=codec | fields.pop("attributes", 0), **fields)


def messages(data):
    """What stands in a set of such messages, those inside compressed ones too, up to one that is cut short:
    (offset, magic, attributes, timestamp, key, value, whether it stands in another one)."""
    found, reader = [], Reader(data)
    while 12 <= reader.left():
        offset, length = reader.i64(), reader.i32()
        if reader.left() < length:
            break
        crc, body = reader.raw(4), Reader(reader.raw(length - 4))
        assert struct.unpack(">I", crc)[0] == zlib.crc32(body.data), "the CRC of a message"
        magic, attributes = body.i8(), body.i8()
        timestamp = body.i64() if magic else None
        key, value = body.bytes(), body.bytes()
        found.append((offset, magic, attributes, timestamp, key, None if attributes & 7 else value, False))
        if attributes & 7:
            found += [(*inner[:-1], True) for inner in messages(DECOMPRESS[attributes & 7, magic](value))]
    return found


def _lz4_of_magic_0(frame):
    """Its header's checksum covers the frame's magic too, which the library refuses."""
    context = lz4.frame.compress(b"", block_size=lz4.frame.BLOCKSIZE_MAX64KB, block_linked=False)
    assert frame[:4] == context[:4] and not frame[4] & 0x09, "no content size and no dictionary"
    for checksum in range(256):
        try:
            return lz4.frame.decompress(frame[:6] + bytes([checksum]) + frame[7:])
        except RuntimeError:
            continue
    raise AssertionError("no LZ4 frame")


def _xerial(data):
    """Snappy in the framing of snappy-java."""
    reader, out = Reader(data), b""
    assert reader.raw(8) == b"\x82SNAPPY\0", "snappy-java's framing"
    reader.raw(8)
    while reader.left():
        out += snappy.decompress(reader.bytes())
    return out


DECOMPRESS = {(codec, magic): how for codec, how in ((GZIP, gzip.decompress), (SNAPPY, _xerial), (LZ4, lz4.frame.decompress)) for magic in (0, 1)}
DECOMPRESS[LZ4, 0] = _lz4_of_magic_0
