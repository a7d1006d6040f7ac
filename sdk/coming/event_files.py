"""TensorBoard's event files: records with checksums, and in each an event, decoded without TensorBoard.

A record is TensorFlow's: length, its CRC, data, its CRC (https://www.tensorflow.org/tutorials/load_data/tfrecord). The
data is a protocol buffer of `tensorflow.Event`. Only what an import needs is decoded; all else is skipped.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

RECORD_BYTES_MAX = 256 * 1024 * 1024
_HEAD = struct.Struct("<QI")
_TAIL = struct.Struct("<I")
# Castagnoli's polynomial, reflected.
_TABLE = [0] * 256
for _i in range(256):
    _c = _i
    for _ in range(8):
        _c = (_c >> 1) ^ 0x82F63B78 if _c & 1 else _c >> 1
    _TABLE[_i] = _c


class Damaged(Exception):
    """The file cannot be read from here on; the message says where and why."""


class Value(NamedTuple):
    """One value of a summary. number: of a scalar; None for others. plugin: what shows it, where the event says so.

    content: the plugin's own data. texts: the strings of a tensor. kind: what the value is, by TensorFlow's names.
    """

    tag: str
    plugin: str
    content: bytes
    kind: str
    number: float | None
    texts: list[bytes]


class Event(NamedTuple):
    """One event. wall_time in seconds since the epoch. offset: of its record, bytes."""

    wall_time: float
    step: int
    values: list[Value]
    offset: int


def events(file: Path, start: int = 0) -> Iterator[Event]:
    """The events of a file from an offset on. Raises Damaged, behind the last one that is whole; OSError."""
    with open(file, "rb") as opened:
        size = file.stat().st_size
        opened.seek(start)
        offset = start
        while head := opened.read(_HEAD.size):
            if len(head) < _HEAD.size:
                raise Damaged(f"{file.name} is cut off at byte {offset}")
            length, check = _HEAD.unpack(head)
            if masked_crc(head[:8]) != check:
                raise Damaged(f"{file.name} is damaged at byte {offset}: the checksum of a length is wrong")
            if offset + _HEAD.size + length + _TAIL.size > size:
                raise Damaged(f"{file.name} is cut off at byte {offset}")
            if length > RECORD_BYTES_MAX:
                raise Damaged(f"{file.name} has a record of {length} bytes at byte {offset}")
            data = opened.read(length)
            if masked_crc(data) != _TAIL.unpack(opened.read(_TAIL.size))[0]:
                raise Damaged(f"{file.name} is damaged at byte {offset}: the checksum of a record is wrong")
            try:
                yield _event(data, offset)
            except (ValueError, IndexError, struct.error, OverflowError) as error:
                raise Damaged(f"{file.name} has no event at byte {offset}: {error}") from error
            offset += _HEAD.size + length + _TAIL.size


def masked_crc(data: bytes) -> int:
    """TensorFlow's masked CRC-32C."""
    crc = 0xFFFFFFFF
    table = _TABLE
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


# --- protocol buffers -------------------------------------------------------------------------------------------------


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a message: number, and an int (varint), or bytes. Raises ValueError, IndexError."""
    place, end = 0, len(data)
    while place < end:
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(data, place)
            yield number, value
            continue
        length = {1: 8, 5: 4}.get(wire)
        if wire == 2:
            length, place = _varint(data, place)
        if length is None or place + length > end:
            raise ValueError(f"field {number} is cut off or of the unknown wire type {wire}")
        yield number, data[place : place + length]
        place += length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, place
        shift += 7
        if shift > 63:
            raise ValueError("a number has more than 64 bits")


def signed(value: int) -> int:
    """A varint as int64."""
    return value - 2**64 if value >= 2**63 else value


def double(value: bytes) -> float:
    """A field of 8 bytes as float64."""
    return float(struct.unpack("<d", value)[0])


def _event(data: bytes, offset: int) -> Event:
    wall_time, step = 0.0, 0
    values: list[Value] = []
    for number, value in fields(data):
        if number == 1:
            wall_time = double(value)
        elif number == 2:
            step = signed(value)
        elif number == 5:
            values += [_value(one) for field, one in fields(value) if field == 1]
    return Event(wall_time, step, values, offset)


_KINDS = {2: "scalar", 3: "histogram", 4: "image", 5: "histogram", 6: "audio", 8: "tensor"}


def _value(data: bytes) -> Value:
    tag, plugin, content, kind = "", "", b"", "nothing"
    number: float | None = None
    texts: list[bytes] = []
    for field, value in fields(data):
        if field == 1:
            tag = value.decode("utf-8", "replace")
        elif field == 9:
            for inner, given in fields(value):
                if inner == 1:
                    told = dict(fields(given))
                    plugin, content = told.get(1, b"").decode("utf-8", "replace"), told.get(2, b"")
        elif field in _KINDS:
            kind = _KINDS[field]
            if field == 2:
                number = float(struct.unpack("<f", value)[0])
            elif field == 4:
                texts = [given for inner, given in fields(value) if inner == 4]
            elif field == 8:
                number, texts = _tensor(value)
    return Value(tag, plugin, content, kind, number, texts)


# TensorFlow's numbers of types that NumPy has, and the field of a tensor that has values of each.
_TYPES = {
    1: ("<f4", 5), 2: ("<f8", 6), 3: ("<i4", 7), 4: ("u1", 7), 5: ("<i2", 7), 6: ("i1", 7), 9: ("<i8", 10),
    10: ("?", 11), 19: ("<f2", 13), 22: ("<u4", 16), 23: ("<u8", 17),
}  # fmt: skip


def _tensor(data: bytes) -> tuple[float | None, list[bytes]]:
    """The number of a tensor that has one element; or its strings."""
    given: dict[int, list[Any]] = {}
    for number, value in fields(data):
        given.setdefault(number, []).append(value)
    kind = given.get(1, [0])[-1]
    if kind == 7:
        return None, given.get(8, [])
    if kind not in _TYPES:
        return None, []
    dtype, field = _TYPES[kind]
    raw = b"".join(given.get(4, []))
    if raw:
        found = np.frombuffer(raw, dtype) if len(raw) % np.dtype(dtype).itemsize == 0 else np.empty(0)
        return (float(found[0]), []) if len(found) == 1 else (None, [])
    numbers: list[float] = []
    for value in given.get(field, []):
        if isinstance(value, int):
            numbers.append(_half(value) if kind == 19 else float(signed(value)))
        elif field in (5, 6):
            numbers += np.frombuffer(value, dtype).tolist()
        else:
            place = 0
            while place < len(value):
                one, place = _varint(value, place)
                numbers.append(_half(one) if kind == 19 else float(signed(one)))
    return (numbers[0], []) if len(numbers) == 1 else (None, [])


def _half(bits: int) -> float:
    return float(np.array([bits & 0xFFFF], "<u2").view("<f2")[0])
