"""The queue between a consumer and the folds: in order, bounded, and never forgetting who waits for room."""

from __future__ import annotations

import threading

from headrace.ingest.envelope import Envelope
from headrace.ingest.log import Partition, Position, Record
from headrace.processors import inbox
from headrace.processors.inbox import Inbox

ONE, OTHER = Partition("runs", 0), Partition("runs", 1)


def records(partition: Partition, first: int, count: int, size: int = 1) -> list[Record]:
    return [
        Record(Position(*partition, offset), 0, Envelope("i", "t", "s", "r", 0, b"x" * size))
        for offset in range(first, first + count)
    ]


def offsets(taken: list[Record]) -> list[int]:
    return [record.position.offset for record in taken]


def rooms(made: Inbox) -> list[None]:
    """Grows whenever the inbox says that there is room again."""
    told: list[None] = []
    made.on_room = lambda: told.append(None)
    return told


def test_records_come_in_order_and_partitions_take_turns() -> None:
    made = Inbox()
    made.put(records(ONE, 0, 3))
    made.put(records(OTHER, 10, 3))
    taken = [made.poll(2, 1000, 0) for _ in range(4)]
    assert [offsets(x) for x in taken] == [[0, 1], [10, 11], [2], [12]]
    assert made.poll(2, 1000, 0) == []


def test_a_poll_takes_bytes_as_asked_for_and_one_record_at_least() -> None:
    made = Inbox()
    made.put(records(ONE, 0, 4, size=10))
    assert offsets(made.poll(10, 15, 0)) == [0, 1]
    assert offsets(made.poll(10, 1, 0)) == [2]


def test_a_full_inbox_says_so_and_tells_once_it_is_less_than_half_full() -> None:
    made = Inbox()
    told = rooms(made)
    assert made.put(records(ONE, 0, inbox.RECORDS_MAX - 1))
    assert not made.put(records(ONE, inbox.RECORDS_MAX, 1))
    made.poll(inbox.RECORDS_MAX // 2, 2**40, 0)
    assert not told
    made.poll(1, 2**40, 0)
    assert len(told) == 1
    made.poll(inbox.RECORDS_MAX, 2**40, 0)
    assert len(told) == 1


def test_bytes_fill_it_as_records_do() -> None:
    made = Inbox()
    told = rooms(made)
    assert not made.put(records(ONE, 0, 2, size=inbox.BYTES_MAX // 2))
    made.poll(1, 1, 0)
    assert not told
    made.poll(1, 1, 0)
    assert told


def test_who_waits_for_room_is_told_though_another_has_put_meanwhile() -> None:
    made = Inbox()
    told = rooms(made)
    assert not made.put(records(ONE, 0, inbox.RECORDS_MAX))
    made.poll(inbox.RECORDS_MAX // 4, 2**40, 0)
    assert made.put(records(OTHER, 0, 1))
    while made.poll(inbox.RECORDS_MAX, 2**40, 0):
        pass
    assert len(told) == 1


def test_who_waits_for_room_is_told_when_a_partition_is_dropped() -> None:
    made = Inbox()
    told = rooms(made)
    assert not made.put(records(ONE, 0, inbox.RECORDS_MAX))
    made.drop([OTHER])
    assert not told
    made.drop([ONE])
    assert len(told) == 1
    assert made.poll(1, 1, 0) == []
    assert made.put(records(ONE, 0, 1))


def test_a_poll_that_waits_is_woken_by_a_put() -> None:
    made = Inbox()
    taken: list[Record] = []
    polling = threading.Thread(target=lambda: taken.extend(made.poll(10, 1000, 30)))
    polling.start()
    made.put(records(ONE, 7, 1))
    polling.join(10)
    assert offsets(taken) == [7]


def test_a_poll_comes_back_when_it_is_woken_whether_before_it_began_or_after() -> None:
    made = Inbox()
    made.wake()
    assert made.poll(10, 1000, 300) == []
    polling = threading.Thread(target=made.poll, args=(10, 1000, 300))
    polling.start()
    made.wake()
    polling.join(10)
    assert not polling.is_alive()


def test_what_comes_after_a_pause_gathers_for_a_moment() -> None:
    made = Inbox(linger_s=30)
    taken: list[Record] = []
    polling = threading.Thread(target=lambda: taken.extend(made.poll(10**6, 2**40, 30)))
    polling.start()
    made.put(records(ONE, 0, 1))
    made.put(records(ONE, 1, inbox.RECORDS_MAX))
    polling.join(10)
    assert len(taken) == inbox.RECORDS_MAX + 1
