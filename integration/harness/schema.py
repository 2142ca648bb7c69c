"""Every Kafka request and response in every version, read from the message schemas that kafka-clients.jar carries.

A message is a dictionary by field name; what it leaves out has the schema's default. Decoding keeps only the fields that the
version has, and insists that the bytes end where the message does."""

import functools
import json
import re
import struct
import zipfile

from harness.paths import KAFKA
from harness.protocol import Reader, Writer

FIXED = {"bool": ">?", "int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "float64": ">d"}


@functools.cache
def _schemas():
    """{(API key, "request" or "response"): schema}."""
    [jar] = (KAFKA / "libs").glob("kafka-clients-*.jar")
    found = {}
    with zipfile.ZipFile(jar) as archive:
        for name in archive.namelist():
            if re.fullmatch(r"common/message/\w+(Request|Response)\.json", name):
                text = re.sub(r"^\s*//.*$", "", archive.read(name).decode(), flags=re.M)
                schema = json.loads(text)
                found[schema["apiKey"], schema["type"]] = schema
    return found


class Message:
    """One direction of one API in one version."""

    def __init__(self, key, direction, version):
        self.schema, self.version = _schemas()[key, direction], version
        self.flexible = _within(self.schema.get("flexibleVersions", "none"), version)
        self.structs = {common["name"]: common["fields"] for common in self.schema.get("commonStructs", [])}

    def encode(self, message):
        out = Writer()
        self._put_fields(out, self.schema["fields"], message)
        return out

    def decode(self, reader):
        message = self._take_fields(reader, self.schema["fields"])
        assert reader.left() == 0, f"{reader.left()} bytes behind the {self.schema['name']}, version {self.version}"
        return message

    def _fields(self, fields):
        """Those of this version: (field, tag or None), tagged ones last and in order."""
        here = [field for field in fields if _within(field["versions"], self.version)]
        tagged = [field for field in here if self.flexible and _within(field.get("taggedVersions", "none"), self.version)]
        return [field for field in here if field not in tagged], sorted(tagged, key=lambda field: field["tag"])

    def _put_fields(self, out, fields, message):
        plain, tagged = self._fields(fields)
        unknown = set(message) - {field["name"] for field in plain + tagged}
        assert not unknown, f"{self.schema['name']} version {self.version} has no {unknown}"
        for field in plain:
            self._put(out, field, field["type"], message.get(field["name"], self._default(field)))
        if self.flexible:
            given = [field for field in tagged if field["name"] in message]
            out.uvarint(len(given))
            for field in given:
                value = Writer()
                self._put(value, field, field["type"], message[field["name"]])
                out.uvarint(field["tag"]).uvarint(len(value)).raw(value)

    def _put(self, out, field, kind, value):
        if kind in FIXED:
            out.raw(struct.pack(FIXED[kind], value))
        elif kind == "uuid":
            out.raw(value)
        elif kind in ("string", "bytes", "records"):
            data = value.encode() if isinstance(value, str) else value
            self._put_length(out, None if data is None else len(data), ">h" if kind == "string" else ">i")
            out.raw(data or b"")
        elif kind.startswith("[]"):
            self._put_length(out, None if value is None else len(value), ">i")
            for item in value or []:
                self._put(out, field, kind[2:], item)
        else:
            if self._is_nullable_struct(field, kind):
                out.i8(-1 if value is None else 1)
            if value is not None:
                self._put_fields(out, field.get("fields") or self.structs[kind], value)

    def _put_length(self, out, length, classic):
        if self.flexible:
            out.uvarint(0 if length is None else length + 1)
        else:
            out.raw(struct.pack(classic, -1 if length is None else length))

    def _take_fields(self, reader, fields):
        plain, tagged = self._fields(fields)
        message = {field["name"]: self._take(reader, field, field["type"]) for field in plain}
        if self.flexible:
            by_tag = {field["tag"]: field for field in tagged}
            for _ in range(reader.uvarint()):
                tag, length = reader.uvarint(), reader.uvarint()
                inner = Reader(reader.raw(length))
                if tag in by_tag:
                    message[by_tag[tag]["name"]] = self._take(inner, by_tag[tag], by_tag[tag]["type"])
        return message

    def _take(self, reader, field, kind):
        if kind in FIXED:
            return struct.unpack(FIXED[kind], reader.raw(struct.calcsize(FIXED[kind])))[0]
        if kind == "uuid":
            return reader.raw(16)
        if kind in ("string", "bytes", "records"):
            length = self._take_length(reader, ">h" if kind == "string" else ">i")
            data = None if length < 0 else reader.raw(length)
            return data.decode() if kind == "string" and data is not None else data
        if kind.startswith("[]"):
            length = self._take_length(reader, ">i")
            return None if length < 0 else [self._take(reader, field, kind[2:]) for _ in range(length)]
        if self._is_nullable_struct(field, kind) and reader.i8() < 0:
            return None
        return self._take_fields(reader, field.get("fields") or self.structs[kind])

    def _is_nullable_struct(self, field, kind):
        """Of a list, the list can be null, not its elements."""
        return kind == field["type"] and _within(field.get("nullableVersions", "none"), self.version)

    def _take_length(self, reader, classic):
        if self.flexible:
            return reader.uvarint() - 1
        return struct.unpack(classic, reader.raw(struct.calcsize(classic)))[0]

    def _default(self, field):
        kind, given = field["type"], field.get("default")
        if given == "null":
            return None
        if kind == "bool":
            return given in (True, "true")
        if kind in FIXED:
            return int(given, 0) if isinstance(given, str) else given or 0
        if kind == "uuid":
            return bytes(16)
        if kind == "string":
            return given or ""
        if kind in ("bytes", "records"):
            return b""
        return [] if kind.startswith("[]") else {}


def versions(key):
    """The versions that the schema has and a release of 3.9 offers."""
    first, _, last = _schemas()[key, "request"]["validVersions"].partition("-")
    return range(int(first), int(last or first) + 1)


def ask(connection, key, version, message):
    """Sends a request and returns the answer, both as dictionaries."""
    request, response = Message(key, "request", version), Message(key, "response", version)
    flexible_answer = response.flexible and key != 18  # ApiVersions answers with the old header
    body = request.encode(message)
    return response.decode(connection.ask(key, version, body, flexible=request.flexible, flexible_answer=flexible_answer))


def _within(text, version):
    if text == "none":
        return False
    first, dash, last = text.partition("-")
    if text.endswith("+"):
        return int(text[:-1]) <= version
    return int(first) <= version <= int(last if dash else first)
