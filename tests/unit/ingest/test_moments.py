"""Moments are parsed from text and found in a log."""

from __future__ import annotations

import pytest
from headrace.ingest import moments
from headrace.ingest.clock import ManualClock
from headrace.ingest.envelope import Envelope
from headrace.ingest.log import LogError, Partition
from headrace.ingest.memory import MemoryLog
from headrace.ingest.moments import BadMoment, Moment
from hypothesis import given
from hypothesis import strategies as st

RUNS, REGISTRY = Partition("runs", 0), Partition("registry", 0)


def filled(times_ms: list[int]) -> MemoryLog:
    clock = ManualClock()
    log = MemoryLog(clock)
    for time_ms in times_ms:
        clock.advance(time_ms / 1000 - clock.monotonic_s())
        log.append([Envelope(str(time_ms), "headrace.run.heartbeat", "test", "r", 0, b"{}")])
    return log


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("1700000000123", 1_700_000_000_123),
        ("1970-01-02", 86_400_000),
        ("1970-01-01T00:00:01.5Z", 1_500),
        ("1970-01-01 01:00:01+01:00", 1_000),
        ("1970-01-01T00:00:01", 1_000),
    ],
)
def test_a_time_is_iso_8601_or_milliseconds(text: str, time_ms: int) -> None:
    assert moments.parse([text]) == Moment(time_ms)


def test_positions_stand_beside_each_other_and_a_time() -> None:
    expected = Moment(5, {RUNS: 7, Partition("metrics", 11): 0})
    assert moments.parse(["runs/0/7,metrics/11/0", "5"]) == expected


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["yesterday"], "'yesterday' is no moment; say a time"),
        ([""], "no moment"),
        (["runs/0"], "no moment"),
        (["runs/0/-1"], "no moment"),
        (["2026-02-30"], "no moment"),
        (["weather/0/1"], "there is no topic weather; there are runs"),
        (["runs/0/1", "runs/0/2"], "runs/0 has a position already"),
        (["5", "6"], "there is a time already"),
        (["99999999999999999999"], "no moment"),
    ],
)
def test_other_texts_are_refused_with_what_would_do(texts: list[str], reason: str) -> None:
    with pytest.raises(BadMoment, match=reason):
        moments.parse(texts)


@given(st.lists(st.integers(1, 30), max_size=20), st.integers(0, 31))
def test_a_time_cuts_behind_the_last_record_of_its_millisecond(times_ms: list[int], time_ms: int) -> None:
    log = filled(sorted(times_ms))
    assert Moment(time_ms).resolve(log)[RUNS] == sum(one <= time_ms for one in times_ms)
    assert moments.first_at(log, RUNS, time_ms) == sum(one < time_ms for one in times_ms)


def test_a_position_holds_for_its_partition_and_the_time_for_the_others() -> None:
    log = filled([1, 2, 3])
    log.append([Envelope("e", "headrace.experiment.deleted", "test", "1", 0, b"{}")])
    assert Moment(None, {RUNS: 1}).resolve(log) == {**log.end(), RUNS: 1}
    assert Moment(1, {REGISTRY: 1}).resolve(log) == {**log.end(), RUNS: 1, REGISTRY: 1}
    assert Moment(1, {RUNS: 3}).resolve(log) == {**log.end(), RUNS: 3, REGISTRY: 0}


def test_a_position_that_the_log_does_not_have_is_refused() -> None:
    log = filled([1])
    with pytest.raises(LogError, match="runs/0 ends at 1, before 2"):
        Moment(None, {RUNS: 2}).resolve(log)
    with pytest.raises(LogError, match="no partition runs/4"):
        Moment(None, {Partition("runs", 4): 0}).resolve(log)
