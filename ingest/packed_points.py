"""Metric points as MessagePack: the columns of `headrace.ingest.points` without pyarrow, which takes long to import.

A trainer writes its first points so, within its first flush interval; from then on it writes Arrow.
"""

from __future__ import annotations

from array import array
from typing import Any

import msgspec


class Columns(msgspec.Struct, frozen=True, omit_defaults=True):
    """Columns of equal length, as `headrace.ingest.points` has them; the optional ones are empty when absent."""

    key: list[str]
    step: list[int]
    timestamp_ms: list[int]
    value: list[float]
    model_id: list[str] = []
    dataset_name: list[str] = []
    dataset_digest: list[str] = []


_decode = msgspec.msgpack.Decoder(Columns).decode


def encode(columns: dict[str, list[Any]]) -> bytes:
    """Columns as MessagePack. Raises OverflowError or TypeError for what is no int64 or no number."""
    checked = {
        **columns,
        "step": array("q", columns["step"]).tolist(),
        "timestamp_ms": array("q", columns["timestamp_ms"]).tolist(),
        "value": array("d", columns["value"]).tolist(),
    }
    return msgspec.msgpack.encode(checked)


def is_packed(data: bytes) -> bool:
    """Whether these bytes begin as a MessagePack map; an Arrow stream begins with four bytes of ones."""
    return data[:1] != b"" and 0x80 <= data[0] <= 0x8F


def decode(data: bytes) -> Columns:
    """The columns. Raises msgspec.DecodeError or ValueError."""
    columns = _decode(data)
    for name in ("step", "timestamp_ms"):
        array("q", getattr(columns, name))
    lengths = {len(getattr(columns, name)) for name in ("key", "step", "timestamp_ms", "value")}
    lengths |= {len(getattr(columns, name)) for name in ("model_id", "dataset_name", "dataset_digest")} - {0}
    if len(lengths) > 1 and lengths != {0}:
        raise ValueError("the columns differ in length")
    return columns
