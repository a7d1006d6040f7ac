"""Subjects lie where Kafka's own clients would put them."""

from __future__ import annotations

import pytest
from headrace.ingest.partitioning import murmur2, partition_of


@pytest.mark.parametrize(
    ("text", "signed"),
    [
        # The figures of Kafka's own test, UtilsTest.testMurmur2.
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    ],
)
def test_the_hash_is_kafkas(text: str, signed: int) -> None:
    assert murmur2(text.encode()) == signed & 0xFFFFFFFF


def test_every_subject_has_a_partition_and_one_partition_has_all() -> None:
    subjects = ["", "ü😀", *map(str, range(500))]
    assert {partition_of(subject, 1) for subject in subjects} == {0}
    assert {partition_of(subject, 12) for subject in subjects} == set(range(12))
