"""Where a consumer puts records for a fold's thread to take: bounded, in order within each partition."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Collection

from headrace.ingest.log import Partition, Record

BYTES_MAX = 32 * 1024 * 1024
RECORDS_MAX = 20_000


class Inbox:
    """A follower that is fed. put from one thread, poll from another.

    on_room: called, on the thread that polls or drops, when there is room again after put said that there was none.
    """

    def __init__(self, linger_s: float = 0.0) -> None:
        """linger_s: how long what comes after a pause gathers before it is taken."""
        self.on_room: Callable[[], None] = lambda: None
        self._linger_s = linger_s
        self._changed = threading.Condition()
        self._waiting: OrderedDict[Partition, deque[Record]] = OrderedDict()
        self._records = 0
        self._bytes = 0
        self._room_awaited = False
        self._woken = False

    def put(self, records: Collection[Record]) -> bool:
        """Add records, each behind those of its partition; whether there is room for more. What is put is kept.

        False is followed by a call of on_room, once less than half of the room is taken, whatever is put meanwhile.
        """
        with self._changed:
            for record in records:
                self._waiting.setdefault(Partition(*record.position[:2]), deque()).append(record)
                self._bytes += len(record.envelope.data)
            self._records += len(records)
            full = self._records >= RECORDS_MAX or self._bytes >= BYTES_MAX
            self._room_awaited |= full
            self._changed.notify()
            return not full

    def drop(self, partitions: Collection[Partition]) -> None:
        """Forget what waits of these."""
        with self._changed:
            for partition in partitions:
                gone = self._waiting.pop(partition, ())
                self._records -= len(gone)
                self._bytes -= sum(len(record.envelope.data) for record in gone)
            room = self._has_awaited_room()
        if room:
            self.on_room()

    def holds(self, partition: Partition) -> bool:
        """Whether something of a partition waits."""
        with self._changed:
            return partition in self._waiting

    def poll(self, records_max: int, bytes_max: int, timeout_s: float) -> list[Record]:
        """As a follower does."""
        taken: list[Record] = []
        with self._changed:
            if not self._waiting:
                self._changed.wait_for(lambda: self._waiting or self._woken, timeout_s)
                self._changed.wait_for(lambda: self._room_awaited or self._woken, self._linger_s)
                self._woken = False
            if not self._waiting:
                return taken
            partition, queue = self._waiting.popitem(last=False)
            size = 0
            while queue and len(taken) < records_max and (not taken or size < bytes_max):
                taken.append(queue.popleft())
                size += len(taken[-1].envelope.data)
            if queue:
                self._waiting[partition] = queue
            self._records -= len(taken)
            self._bytes -= size
            room = self._has_awaited_room()
        if room:
            self.on_room()
        return taken

    def wake(self) -> None:
        """Let the poll that waits, or else the next one, come back at once."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing to let go of."""

    def _has_awaited_room(self) -> bool:
        room = self._room_awaited and self._records < RECORDS_MAX // 2 and self._bytes < BYTES_MAX // 2
        self._room_awaited = self._room_awaited and not room
        return room
