"""A log, views and engines over them, one after the other, as restarts are; and history of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa
from headrace.ingest import codec, events, points
from headrace.ingest.clock import Clock
from headrace.ingest.envelope import ARROW, Envelope
from headrace.ingest.log import Log, Partition, Position
from headrace.processors.engine import Engine
from headrace.processors.outcome import Outcome
from headrace.processors.views import Views

NAN, INF = float("nan"), float("inf")
TABLES = {
    "runs": "SELECT * FROM runs FINAL ORDER BY run_id",
    "events": "SELECT * FROM events ORDER BY topic, partition, offset",
    "metrics": "SELECT * FROM metrics ORDER BY partition, offset, item",
    "metric_summary": "SELECT * FROM metric_summary FINAL ORDER BY run_id, key",
}
Point = tuple[str, int, float]


class World:
    """What the tests of the engine act on."""

    def __init__(self, views: Views, log: Log, clock: Clock) -> None:
        self.views = views
        self.log = log
        self.clock = clock

    @contextmanager
    def engine(self, views: Views | None = None) -> Iterator[Engine]:
        """An engine that follows the log, for as long as the block lasts."""
        engine = Engine(self.log, views or self.views, self.clock)
        engine.start()
        try:
            yield engine
        finally:
            engine.stop(0)

    def settle(self) -> Engine:
        """One life of an engine, to the end of the log; the engine, ended, for its counters and states."""
        with self.engine() as engine:
            engine.stored().result(60)
        return engine

    def append(
        self, event: events.Event, subject: str = "r1", writer: str = "", sequence: int = 0, version: int = 1
    ) -> Position:
        """Append one event."""
        return self.raw(codec.type_of(event), codec.encode_event(event), subject, writer, sequence, version)

    def raw(
        self, kind: str, data: bytes, subject: str = "r1", writer: str = "", sequence: int = 0, version: int = 1
    ) -> Position:
        """Append one envelope with any type and data."""
        envelope = Envelope(
            f"{kind}{subject}{writer}{sequence}", kind, "test", subject, 5, data, writer=writer, sequence=sequence,
            schema_version=version,
        )  # fmt: skip
        return self.log.append([envelope])[0]

    def points(self, *given: Point, subject: str = "r1", writer: str = "", sequence: int = 0) -> Position:
        """Append points (key, step, value) of a run."""
        keys, steps, values = zip(*given, strict=True)
        columns = {
            "key": pa.array(keys),
            "step": pa.array(steps),
            "timestamp_ms": pa.array(steps),
            "value": pa.array(values, pa.float64()),
        }
        envelope = Envelope(
            "m", events.METRICS_LOGGED, "test", subject, 5, points.encode(columns), ARROW, writer=writer,
            sequence=sequence,
        )  # fmt: skip
        return self.log.append([envelope])[0]

    def outcome(self, engine: Engine, position: Position) -> Outcome:
        """What the fold made of an event."""
        return engine.outcome(position).result(30)

    def view(self, sql: str) -> list[tuple[object, ...]]:
        """Rows of a query."""
        return self.views.rows(sql)

    def dead_letters(self) -> list[events.EventRejected]:
        """What was set aside, and why."""
        records = self.log.read(Partition("dead_letters", 0), 0, 10**6, 2**40)
        return [event for r in records if isinstance(event := codec.decode_event(r.envelope), events.EventRejected)]

    def snapshot(self) -> dict[str, list[str]]:
        """All that the views hold, in an order of its own."""
        return {table: [repr(row) for row in self.views.rows(sql)] for table, sql in TABLES.items()}

    def bytes(self) -> dict[str, bytes]:
        """All that the views hold, as Arrow IPC bytes."""
        found = {}
        for name, sql in TABLES.items():
            table = self.views.arrow(sql).combine_chunks()
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)
            found[name] = sink.getvalue().to_pybytes()
        return found

    def empty_views(self) -> None:
        """Drop every row."""
        for table in TABLES:
            self.views.rows(f"TRUNCATE TABLE {table}")

    def rebuilt(self) -> dict[str, list[str]]:
        """What the views hold when the log is folded from its start by one engine."""
        self.empty_views()
        self.settle()
        return self.snapshot()

    def history(self, run: str = "r1") -> Iterator[Callable[[], object]]:
        """Appends of every kind: applied, refused, poison, unknown, repeated, missed; with a writer and without."""
        e = events
        writer = f"w-{run}"

        def sdk(event: e.Event, sequence: int) -> Callable[[], object]:
            return lambda: self.append(event, run, writer, sequence)

        yield lambda: self.append(e.ExperimentCreated(f"exp-{run}"), f"x-{run}")
        yield sdk(e.RunCreated("1", 10, name=run, tags={"b": "2", "a": "1"}, heartbeat_interval_s=5.0), 1)
        yield sdk(e.AttributesLogged({"lr": "0.1"}, {"ü": "😀\0\n'\""}), 2)
        yield lambda: self.points(("loss", 1, 0.5), ("loss", 2, NAN), ("acc", 1, -INF), subject=run)
        yield lambda: self.points(("loss", 3, 0.25), subject=run, writer=writer, sequence=1)
        yield sdk(e.AttributesLogged({"lr": "0.1"}, {"ü": "😀\0\n'\""}), 2)
        yield lambda: self.points(("loss", 3, 0.25), subject=run, writer=writer, sequence=1)
        yield lambda: self.raw("headrace.run.ended", b"poison", run, writer, 3)
        yield lambda: self.raw(e.METRICS_LOGGED, b"poison", run, writer, 2)
        yield lambda: self.raw("headrace.run.paused", b'{"why": 1}', run, writer, 4)
        yield lambda: self.raw("headrace.metrics.profiled", b"?", run, writer, 3)
        yield lambda: self.append(e.AttributesLogged({"lr": "0.2"}, {"t": "x"}, atomic=True), run)
        yield lambda: self.points(("loss", -1, INF), ("loss", -1, INF), subject=run, writer=writer, sequence=6)
        yield sdk(e.RunHeartbeat(), 6)
        yield lambda: self.raw("headrace.experiment.renamed", b"[]", f"x-{run}")
        yield lambda: self.append(e.ExperimentRenamed(f"new-{run}"), f"x-{run}")
        yield lambda: self.append(e.PredictionLogged("iris", run_id=run, request_id=run), "endpoint:iris")
        yield sdk(e.RunEnded("FINISHED", 20), 7)
        yield lambda: self.points(("late", 9, 1.0), subject=run, writer=writer, sequence=7)
        yield lambda: self.raw(e.METRICS_LOGGED, b"", run)
