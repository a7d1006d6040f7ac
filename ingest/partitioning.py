"""Which partition a subject's records lie in: Kafka's murmur2, so that every producer of any language agrees."""

from __future__ import annotations

import functools

_SEED = 0x9747B28C
_MULTIPLIER = 0x5BD1E995
_MASK = 0xFFFFFFFF


def partition_of(subject: str, partitions: int) -> int:
    """The partition, of so many, that holds a subject's records: what librdkafka's `murmur2_random` gives its key."""
    return 0 if partitions == 1 else _positive_hash(subject) % partitions


@functools.lru_cache(maxsize=16_384)
def _positive_hash(subject: str) -> int:
    return murmur2(subject.encode()) & 0x7FFFFFFF


def murmur2(data: bytes) -> int:
    """The 32-bit hash of org.apache.kafka.common.utils.Utils.murmur2, as an unsigned number."""
    value = _SEED ^ len(data)
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _MULTIPLIER & _MASK
        word = (word ^ word >> 24) * _MULTIPLIER & _MASK
        value = value * _MULTIPLIER & _MASK ^ word
    if rest := data[whole:]:
        value = (value ^ int.from_bytes(rest, "little")) * _MULTIPLIER & _MASK
    value = (value ^ value >> 13) * _MULTIPLIER & _MASK
    return value ^ value >> 15
