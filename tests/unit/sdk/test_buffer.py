from __future__ import annotations

import threading

import pytest
from headrace.sdk.buffer import EVENT, EVENTS_MAX, Buffer


def buffer_of(points_max: int) -> Buffer:
    buffer = Buffer(points_max, 4, lambda: buffer.started())
    return buffer


def put(buffer: Buffer, value: float) -> None:
    if len(buffer.entries) < buffer.limit or buffer.admit():
        buffer.entries.append(("r", "k", 0, 0, value))


def test_the_first_entry_starts_the_consumer_once() -> None:
    started: list[int] = []

    def start() -> None:
        started.append(1)
        buffer.started()

    buffer = Buffer(10, 4, start)
    put(buffer, 1.0)
    put(buffer, 2.0)
    assert started == [1]


def test_a_full_buffer_drops_counts_and_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    buffer = buffer_of(10)
    for value in range(25):
        put(buffer, value)
    assert [entry[4] for entry in buffer.entries] == list(range(10))
    assert buffer.dropped == 15
    assert len(caplog.records) == 1
    assert len(buffer.drain(100)) == 10
    put(buffer, 1.0)
    assert len(buffer.entries) == 1


def test_events_still_fit_when_points_do_not() -> None:
    buffer = buffer_of(1)
    put(buffer, 1.0)
    assert buffer.put("r", EVENT, 0, "ended")
    for _ in range(EVENTS_MAX - 1):
        buffer.put("r", EVENT, 0, "x")
    assert not buffer.put("r", EVENT, 0, "one too many")


def test_many_waiting_points_wake_the_consumer() -> None:
    buffer = buffer_of(100)
    for value in range(4):
        put(buffer, value)
    assert not buffer.wake.is_set()
    put(buffer, 4)
    assert buffer.wake.is_set()


def test_threads_lose_nothing() -> None:
    buffer = buffer_of(10**6)

    def work() -> None:
        for _ in range(2_000):
            put(buffer, 1.0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    taken = 0
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken += len(buffer.drain(1000))
    for thread in threads:
        thread.join()
    assert taken + len(buffer.drain(10**6)) == 16_000


def test_a_caller_that_outruns_its_consumer_loses_nothing() -> None:
    buffer = buffer_of(20_000)
    done = threading.Event()
    taken: list[float] = []

    def consume() -> None:
        while not done.is_set() or buffer.entries:
            for entry in buffer.drain(1_000):
                # More work than an append, and it holds the interpreter as an encoder does.
                taken.append(sum(float(digit) for digit in str(entry[4])))

    consumer = threading.Thread(target=consume)
    consumer.start()
    for value in range(100_000):
        put(buffer, value)
    done.set()
    consumer.join()
    assert (buffer.dropped, len(taken)) == (0, 100_000)


def test_nobody_waits_for_a_consumer_that_cannot_go_on() -> None:
    buffer = buffer_of(10)
    buffer.moving = False
    for value in range(12):
        put(buffer, value)
    assert (len(buffer.entries), buffer.dropped) == (10, 2)
