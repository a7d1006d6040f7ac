"""Who stores which partition, as the views have it: the latest claim holds, and inserts of all others are refused.

A consumer group hands out partitions, but a worker that was cut off does not know at once that it lost its own, and an
insert it sent may still be on its way. So each insert carries a guard that the server checks, and a new owner waits for
what its predecessors have begun before it asks the views how far they are.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Collection

from headrace.ingest.log import Partition
from headrace.processors.views import Fenced, Views

HOLD_PREFIX = "hold"
"""An owner whose name begins so keeps partitions from workers: a rebuild, while it swaps."""
HOLD_S = 30
"""How long a hold lasts after its last claim: a holder that died does not stop the workers for longer."""
QUERY_PREFIX = "headrace-insert-"
SETTLE_S = 10.0
_SETTLE_INTERVAL_S = 0.05


class Held(Exception):
    """Another process keeps the partitions for a moment; ask again."""


class Ownership:
    """The claims of one process, each with a token of its own. Any thread may call."""

    def __init__(self, views: Views, owner: str = "") -> None:
        """owner: letters and digits, unique for each process; made up when empty."""
        self._views = views
        self.owner = owner or uuid.uuid4().hex
        self._claiming = threading.Lock()
        self._claims = 0
        self._tokens: dict[Partition, str] = {}

    def claim(self, partitions: Collection[Partition]) -> None:
        """Become the owner; when this returns no insert of an earlier owner is under way or can begin any more.

        Raises ViewsUnavailable; Held while a rebuild swaps; Fenced when another claimed at the same moment and holds.
        """
        if not partitions:
            return
        with self._claiming:
            where = _where(partitions)
            holds = (
                f"SELECT count() FROM (SELECT {_HOLDER}, max(claimed_ms) AS at FROM owners WHERE {where}"
                " GROUP BY topic, partition)"
                f" WHERE startsWith(holder, '{HOLD_PREFIX}') AND NOT startsWith(holder, {{owner:String}})"
                f" AND at > toUnixTimestamp64Milli(now64(3)) - {HOLD_S * 1000}"
            )
            if self._views.rows(holds, {"owner": self.owner})[0][0]:
                raise Held("a rebuild swaps the views; storing goes on in a moment")
            self._claims += 1
            token = f"{self.owner}.{self._claims}"
            self._write(partitions, token)
            self._tokens.update(dict.fromkeys(partitions, token))
            lost = self.lost(partitions)
            if lost:
                raise Fenced(f"another process claimed {_names(lost)} at the same moment")
            self._settle(where)

    def release(self, partitions: Collection[Partition]) -> None:
        """Let whoever claims them next have these. Raises ViewsUnavailable."""
        with self._claiming:
            self._claims += 1
            self._write(partitions, f"free-{self.owner}.{self._claims}")

    def guard(self, partitions: Collection[Partition]) -> str:
        """A condition that makes the server refuse an insert unless this process owns all these partitions."""
        held = ", ".join(f"('{p.topic}', {p.partition:d}, '{self._tokens[p]}')" for p in sorted(partitions))
        ours = f"SELECT count() FROM ({_holders(partitions)}) WHERE (topic, partition, holder) IN ({held})"
        return f"throwIf(({ours}) != {len(set(partitions))}, 'fenced') = 0"

    def _write(self, partitions: Collection[Partition], token: str) -> None:
        """Once, though it may arrive twice: a claim that came late would make the owner of it who has lost it since."""
        wanted = ", ".join(f"('{p.topic}', {p.partition:d})" for p in sorted(partitions))
        self._views.command(
            "INSERT INTO owners SELECT w.1, w.2, {token:String},"
            f" (SELECT max(epoch) FROM owners WHERE {_where(partitions)}) + 1, toUnixTimestamp64Milli(now64(3))"
            f" FROM (SELECT arrayJoin([{wanted}]) AS w)"
            " WHERE (SELECT count() FROM owners WHERE owner = {token:String}) = 0",
            {"token": token},
        )

    def query_id(self, number: int) -> str:
        """The id of this process's insert with a number: it tells other processes whose insert is under way."""
        return f"{QUERY_PREFIX}{self.owner}-{number}"

    def lost(self, partitions: Collection[Partition]) -> set[Partition]:
        """Those of these that another process, or nobody, owns. Raises ViewsUnavailable."""
        found = self._views.rows(_holders(partitions))
        holders = {Partition(topic, number): holder for topic, number, holder in found}
        return {p for p in partitions if holders.get(p) != self._tokens.get(p)}

    def _settle(self, where: str) -> None:
        """Wait for the inserts that earlier owners began before this claim; end those that take too long."""
        owners = {row[0].split(".")[0] for row in self._views.rows(f"SELECT DISTINCT owner FROM owners WHERE {where}")}

        def running() -> set[str]:
            return {
                x for x in self._views.running(QUERY_PREFIX) if x.removeprefix(QUERY_PREFIX).split("-")[0] in owners
            }

        begun = running()
        deadline_s = time.monotonic() + SETTLE_S
        pause = threading.Event()
        while begun := begun & running():
            if time.monotonic() > deadline_s:
                self._views.kill(begun)
                for query_id in begun:
                    self._views.settle(query_id)
                return
            pause.wait(_SETTLE_INTERVAL_S)


_HOLDER = "argMax(owner, (epoch, owner)) AS holder"


def _holders(partitions: Collection[Partition]) -> str:
    """SQL that tells who holds these: topic, partition, holder."""
    return f"SELECT topic, partition, {_HOLDER} FROM owners WHERE {_where(partitions)} GROUP BY topic, partition"


def _where(partitions: Collection[Partition]) -> str:
    # Topic names are constants of ours and partitions are integers: nothing of a client's becomes SQL.
    listed = ", ".join(f"('{p.topic}', {p.partition:d})" for p in sorted(partitions))
    return f"(topic, partition) IN ({listed})"


def _names(partitions: Collection[Partition]) -> str:
    return ", ".join(f"{p.topic}/{p.partition}" for p in sorted(partitions))
