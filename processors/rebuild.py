"""Folds a log anew into a second set of views, compares it with the live one, and exchanges the two.

The second set lies in a database beside the live one. Reads and writes go on, but for the moment of the exchange, when
the live views stand still at a position, the new ones are brought to exactly that, and both are compared. Where a
rebuild stands, its views tell: one that was stopped or killed goes on, also in the middle of an exchange.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from headrace.ingest.log import Log, Offsets, Partition
from headrace.ingest.topics import FOLDED
from headrace.processors.bounded import BoundedLog
from headrace.processors.comparing import APPENDED, TABLES, Held, held
from headrace.processors.engine import Engine
from headrace.processors.ownership import Ownership
from headrace.processors.views import Views

EXCHANGED = ("metrics", "metric_summary", "events", "runs")
"""In this order: a table that says how far its partner has to come goes first, so that a crash in between leaves what a
crash of a store leaves, and is mended in the same way."""
ROUNDS_MAX = 10
CLOSE_RECORDS = 2_000
"""With no more records than this to fold, the rest is folded while the live views stand still."""
POINTS_MAX = 500_000
"""Of one insert: more than where readers wait for it, since each part that is made has to be merged."""
_TICK_S = 0.2


class RebuildStopped(Exception):
    """The rebuild was stopped; the next one goes on where it was."""


class RebuildFailed(Exception):
    """The rebuild cannot go on; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rebuild is.

    phase: folding, comparing, exchanging, done. records of records_total are folded; points: metric points folded in
    this life of the process, points_s: of them a second.
    """

    phase: str = "folding"
    records: int = 0
    records_total: int = 0
    points: int = 0
    points_s: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Compared:
    """A table, as the live views hold it and as the log gives it."""

    table: str
    live: Held
    rebuilt: Held

    @property
    def equal(self) -> bool:
        """Whether they are the same, row for row, as far as a 64-bit checksum can tell."""
        return self.live == self.rebuilt


@dataclass(slots=True)
class Result:
    """What a rebuild came to. exchanged: whether readers see the new views; old: the database that has the others."""

    compared: list[Compared] = field(default_factory=list)
    exchanged: bool = False
    old: str = ""
    progress: Progress = field(default_factory=Progress)

    @property
    def equal(self) -> bool:
        """Whether every table was the same."""
        return all(one.equal for one in self.compared)


StandStill = Callable[[Callable[[Mapping[Partition, int]], None]], None]
"""Calls what it is given while the live views hold exactly what lies below some offsets, which it hands over."""


class Rebuild:
    """One rebuild of some views. run() on one thread; stop and progress from any."""

    def __init__(self, log: Log, live: Views) -> None:
        self._log = log
        self._live = live
        self._stopping = threading.Event()
        self._started_s = time.monotonic()
        self._phase = "folding"
        self._engine: Engine | None = None
        self._goal: Offsets = {}
        self._ended: Progress | None = None

    @property
    def beside(self) -> str:
        """The database the new views are made in."""
        return f"{self._live.database}_rebuild"

    @property
    def old(self) -> str:
        """The database that keeps the views from before the last exchange."""
        return f"{self._live.database}_old"

    def stop(self) -> None:
        """Make run() end soon with RebuildStopped."""
        self._stopping.set()

    def progress(self) -> Progress:
        """How far it is now."""
        if self._ended is not None or self._engine is None:
            return self._ended or Progress(self._phase)
        seconds = time.monotonic() - self._started_s
        folded = self._engine.folded.offsets()
        records = sum(min(folded.get(p, 0), offset) for p, offset in self._goal.items())
        points = self._engine.counters.points
        return Progress(self._phase, records, sum(self._goal.values()), points, points / max(seconds, 1e-9), seconds)

    def run(
        self,
        live_at: Callable[[], Offsets],
        stand_still: StandStill,
        *,
        exchange: bool = True,
        restart: bool = False,
        compare: bool = True,
    ) -> Result:
        """Rebuild, compare, and exchange if asked to.

        live_at: offsets below which the live views hold everything; where they stand still, it is not less.
        restart: begin from nothing, whatever an earlier rebuild left. compare: false where the live views are of
        another version, and cannot be compared.
        Raises RebuildStopped, RebuildFailed, ViewsUnavailable, LogError.
        """
        databases = self._live.databases()
        if self.old in databases and exchange:
            raise RebuildFailed(
                f"the views from before the last rebuild are still there, in the database {self.old}; drop them first"
                " (`headrace rebuild --drop-old`)"
            )
        if restart:
            self._live.drop_database(self.beside)
        beside = self._live.beside(self.beside)
        try:
            if self._exchange_begun(beside):
                return self._finish(beside, stand_still)
            return self._run(beside, live_at, stand_still, exchange, compare)
        finally:
            beside.close()

    def drop_old(self) -> bool:
        """Drop the views from before the last exchange; whether there were any."""
        there = self.old in self._live.databases()
        self._live.drop_database(self.old)
        return there

    def bring_back(self, stand_still: StandStill) -> Result:
        """Exchange back to the views from before; what has been logged since is folded into them then.

        Raises RebuildFailed when there are none.
        """
        databases = self._live.databases()
        if self.old not in databases:
            raise RebuildFailed("no views from before a rebuild are kept; there is nothing to bring back")
        if self.beside in databases:
            raise RebuildFailed("a rebuild has begun; finish it, or begin it anew later and drop its database first")
        self._live.rename_database(self.old, self.beside)
        beside = self._live.beside(self.beside)
        try:
            self._begin_exchange(beside)
            return self._finish(beside, stand_still)
        finally:
            beside.close()

    # --- folding ------------------------------------------------------------------------------------------------------

    def _run(
        self, beside: Views, live_at: Callable[[], Offsets], stand_still: StandStill, exchange: bool, compare: bool
    ) -> Result:
        bounded = BoundedLog(self._log, {})
        ownership = Ownership(beside) if beside.shared else None
        self._engine = engine = Engine(bounded, beside, ownership=ownership, points_max=POINTS_MAX)
        engine.start()
        result = Result()
        try:
            for _ in range(ROUNDS_MAX):
                goal = self._reach(bounded, engine, live_at())
                if _behind(goal, live_at()) <= CLOSE_RECORDS:
                    break
            compared = self._compare_grown(beside, goal) if compare else {}

            def at_rest(offsets: Mapping[Partition, int]) -> None:
                self._reach(bounded, engine, offsets)
                if compare:
                    self._phase = "comparing"
                    result.compared = self._compare_rest(beside, goal, compared)
                if exchange:
                    engine.stop()
                    self._begin_exchange(beside)
                    self._exchange(beside)
                    result.exchanged = True

            stand_still(at_rest)
        finally:
            engine.stop(0)
        if exchange:
            result.old = self._keep_old(beside)
        return self._done(result)

    def _reach(self, bounded: BoundedLog, engine: Engine, offsets: Offsets) -> Offsets:
        """Fold up to these offsets, and store it."""
        goal = {p: offset for p, offset in offsets.items() if p.topic in FOLDED}
        self._goal = goal
        bounded.move(goal)
        # Who waits makes the store hurry, and small inserts of it.
        while _behind(engine.folded.offsets(), goal) > CLOSE_RECORDS:
            self._check(engine)
            self._stopping.wait(_TICK_S)
        future = engine.stored(goal)
        try:
            while not _is_done(future, _TICK_S):
                self._check(engine)
        finally:
            future.cancel()
        return goal

    def _check(self, engine: Engine) -> None:
        """Raises what ends the rebuild."""
        if self._stopping.is_set():
            raise RebuildStopped("the rebuild was stopped; the next one goes on where it was")
        if engine.lost:
            raise RebuildFailed("another rebuild of these views has begun elsewhere, and this one gave way")

    # --- comparing ----------------------------------------------------------------------------------------------------

    def _compare_grown(self, beside: Views, goal: Offsets) -> dict[str, tuple[Held, Held]]:
        """What both hold below the goal of the tables that only grow; most of the work, while all still moves."""
        self._phase = "comparing"
        return {table: (held(self._live, table, end=goal), held(beside, table, end=goal)) for table in APPENDED}

    def _compare_rest(self, beside: Views, goal: Offsets, before: Mapping[str, tuple[Held, Held]]) -> list[Compared]:
        found = []
        for table in TABLES:
            first = goal if table in APPENDED else None
            live, rebuilt = held(self._live, table, first), held(beside, table, first)
            if table in before:
                live, rebuilt = before[table][0] + live, before[table][1] + rebuilt
            found.append(Compared(table, live, rebuilt))
        return found

    # --- exchanging ---------------------------------------------------------------------------------------------------

    def _begin_exchange(self, beside: Views) -> None:
        """Note, in the database itself, what is to be exchanged: from here on a crash leads to _finish."""
        columns = "(name String, identity String) ENGINE = MergeTree ORDER BY name"
        beside.command(f"CREATE TABLE IF NOT EXISTS exchange {columns}")
        rows = ", ".join(f"('{table}', '{beside.identity(table)}')" for table in EXCHANGED)
        beside.command(f"INSERT INTO exchange VALUES {rows}")

    def _exchange_begun(self, beside: Views) -> bool:
        tables = {row[0] for row in beside.rows("SELECT name FROM system.tables WHERE database = currentDatabase()")}
        return "exchange" in tables and beside.rows("SELECT count() FROM exchange")[0][0] == len(EXCHANGED)

    def _exchange(self, beside: Views) -> None:
        self._phase = "exchanging"
        noted = dict(beside.rows("SELECT name, identity FROM exchange"))
        for table in EXCHANGED:
            if beside.identity(table) == noted[table]:
                self._live.exchange(beside, table)

    def _finish(self, beside: Views, stand_still: StandStill) -> Result:
        """The exchange that a crash broke off."""
        stand_still(lambda _: self._exchange(beside))
        return self._done(Result(exchanged=True, old=self._keep_old(beside)))

    def _keep_old(self, beside: Views) -> str:
        beside.command("DROP TABLE exchange")
        self._live.rename_database(self.beside, self.old)
        return self.old

    def _done(self, result: Result) -> Result:
        self._phase = "done"
        result.progress = self.progress()
        self._ended = result.progress
        return result


def _is_done(future: Future[None], timeout_s: float) -> bool:
    try:
        future.result(timeout_s)
    except TimeoutError:
        return False
    return True


def _behind(at: Offsets, goal: Offsets) -> int:
    return sum(max(0, offset - at.get(p, 0)) for p, offset in goal.items() if p.topic in FOLDED)
