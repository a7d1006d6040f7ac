"""A run of a source as events of the log: the same run gives the same events, numbered by a writer of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import pyarrow as pa
from headrace.ingest import codec, events, points
from headrace.ingest.envelope import ARROW, JSON, Envelope
from headrace.ingest.limits import key_fault
from headrace.ingest.topics import topic_of
from headrace.sdk.coming.source import Left, Series, SourceRun, text_of, usable_key

FRAME_POINTS_MAX = 20_000
"""Points of one event; some 200 kB."""
TEXT_CHARS_MAX = 500_000
"""A longer param, tag or description is not carried over."""
_EVENT_CHARS_MAX = 500_000
_EVENT_ENTRIES_MAX = 500
ENDED = ("FINISHED", "FAILED", "KILLED")
RUN_NAME_TAG = "mlflow.runName"


class Pen:
    """Makes frames of events, numbered 1, 2, 3, … for each (topic, subject)."""

    def __init__(self, writer: str, source: str) -> None:
        self._writer = writer
        self._source = source
        self._sequences: dict[tuple[str, str], int] = {}

    def event(self, subject: str, event: events.Event, time_ms: int) -> bytes:
        """An event as a frame. time_ms: when it happened."""
        return self._frame(subject, codec.type_of(event), time_ms, codec.encode_event(event), JSON)

    def points(self, run_id: str, batch: list[Series]) -> bytes:
        """Points of a run as one frame."""
        keys = pa.array([one.key for one in batch], pa.string())
        lengths = [len(one.step) for one in batch]
        indices = pa.array([i for i, length in enumerate(lengths) for _ in range(length)], pa.int32())
        columns = {
            "key": pa.DictionaryArray.from_arrays(indices, keys) if sum(lengths) > 1 else keys,
            "step": pa.concat_arrays([pa.array(one.step) for one in batch]),
            "timestamp_ms": pa.concat_arrays([pa.array(one.timestamp_ms) for one in batch]),
            # As NumPy has them: NaN is a value here, and no null.
            "value": pa.concat_arrays([pa.array(one.value, from_pandas=False) for one in batch]),
        }
        if any(one.model_id is not None for one in batch):
            ids = [x for one, n in zip(batch, lengths, strict=True) for x in (one.model_id or [""] * n)]
            columns["model_id"] = pa.array(ids, pa.string())
        time_ms = int(batch[0].timestamp_ms[0])
        return self._frame(run_id, events.METRICS_LOGGED, time_ms, points.encode(columns), ARROW)

    def _frame(self, subject: str, kind: str, time_ms: int, data: bytes, content_type: str) -> bytes:
        key = (topic_of(kind), subject)
        sequence = self._sequences[key] = self._sequences.get(key, 0) + 1
        envelope = Envelope(
            f"{self._writer}:{key[0]}:{subject}:{sequence}", kind, self._source, subject, time_ms, data, content_type,
            writer=self._writer, sequence=sequence,
        )  # fmt: skip
        return codec.encode_frame(envelope)


def fitted(run: SourceRun) -> SourceRun:
    """The run as it can be kept here; `problems` tells of what could not stay as it was."""
    problems = list(run.problems)
    params = _usable(run.run_id, "param", run.params, problems)
    tags = _usable(run.run_id, "tag", run.tags, problems)
    name = text_of(run.name or tags.get(RUN_NAME_TAG, ""))
    if name and tags.get(RUN_NAME_TAG, name) != name:
        problems.append(Left(run.run_id, f"tag {RUN_NAME_TAG}", f"the run's name, {name!r}, takes its place"))
    if name:
        tags[RUN_NAME_TAG] = name
    status = run.status
    if status not in events.RUN_STATUSES:
        problems.append(Left(run.run_id, f"status {status!r}", "it is none of " + ", ".join(events.RUN_STATUSES)))
        status = "FINISHED" if run.end_time_ms else "RUNNING"
    return replace(run, name=name, status=status, params=params, tags=tags, problems=tuple(problems))


def _usable(run_id: str, kind: str, given: Mapping[str, str], problems: list[Left]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in sorted(given.items()):
        if len(value) > TEXT_CHARS_MAX:
            problems.append(Left(run_id, f"{kind} {key[:80]}", f"its value has {len(value)} characters"))
            continue
        # Tags that a tracker set itself have keys of its own making.
        usable = key if key_fault(key) is None else usable_key(key)
        if usable != key:
            problems.append(Left(run_id, f"{kind} key {key[:80]!r}", f"it is {usable!r} here"))
        found[usable] = text_of(value)
    return found


def events_of(run: SourceRun, experiment_id: str, experiment_name: str) -> Iterator[tuple[events.Event, int]]:
    """All events of a run but its points, each with its time. The run is as `fitted` left it."""
    ended = run.status in ENDED and run.end_time_ms != 0
    created = events.RunCreated(
        experiment_id,
        run.start_time_ms,
        run.name,
        run.user_id,
        experiment_name,
        "RUNNING" if ended else run.status,
    )
    yield created, run.start_time_ms
    for params, tags in chunks(run.params, run.tags):
        yield events.AttributesLogged(params, tags), run.start_time_ms
    for one in run.inputs.datasets:
        # An event each: schemas may be long.
        yield events.InputsLogged([one]), run.start_time_ms
    if run.inputs.models:
        yield events.InputsLogged(models=run.inputs.models), run.start_time_ms
    if run.outputs.models:
        yield run.outputs, run.end_time_ms or run.start_time_ms
    if ended:
        yield events.RunEnded(run.status, run.end_time_ms), run.end_time_ms
    elif run.end_time_ms:
        yield events.RunUpdated(end_time_ms=run.end_time_ms), run.end_time_ms
    if run.deleted:
        yield events.RunDeleted(), run.deleted_time_ms or run.end_time_ms or run.start_time_ms


def chunks(params: Mapping[str, str], tags: Mapping[str, str]) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Params and tags in parts, each short enough for one event."""
    held: tuple[dict[str, str], dict[str, str]] = ({}, {})
    size = entries = 0
    for place, given in enumerate((params, tags)):
        for key, value in sorted(given.items()):
            length = len(key) + len(value)
            if entries and (entries >= _EVENT_ENTRIES_MAX or size + length > _EVENT_CHARS_MAX):
                yield held
                held, size, entries = ({}, {}), 0, 0
            held[place][key] = value
            size, entries = size + length, entries + 1
    if entries:
        yield held


def batches(series: Iterable[Series]) -> Iterator[list[Series]]:
    """Series cut and joined so that each list has FRAME_POINTS_MAX points, but for the last one."""
    held: list[Series] = []
    room = FRAME_POINTS_MAX
    for one in series:
        start = 0
        while start < len(one.step):
            end = min(start + room, len(one.step))
            models = None if one.model_id is None else one.model_id[start:end]
            part = slice(start, end)
            held.append(Series(one.key, one.step[part], one.timestamp_ms[part], one.value[part], models))
            room -= end - start
            start = end
            if not room:
                yield held
                held, room = [], FRAME_POINTS_MAX
    if held:
        yield held


def lacking_of(run: SourceRun, there: SourceRun) -> Iterator[tuple[events.Event, int]]:
    """Events that make a run that is there what it should be, with their times. What it has too much of stays."""
    start_ms, end_ms = run.start_time_ms, run.end_time_ms
    params = {key: value for key, value in run.params.items() if key not in there.params}
    tags = {key: value for key, value in run.tags.items() if there.tags.get(key) != value}
    for some_params, some_tags in chunks(params, tags):
        yield events.AttributesLogged(some_params, some_tags), start_ms
    known = {(one.dataset.name, one.dataset.digest) for one in there.inputs.datasets}
    for one in run.inputs.datasets:
        if (one.dataset.name, one.dataset.digest) not in known:
            yield events.InputsLogged([one]), start_ms
    models = [one for one in run.inputs.models if one not in there.inputs.models]
    if models:
        yield events.InputsLogged(models=models), start_ms
    made = [one for one in run.outputs.models if one not in there.outputs.models]
    if made:
        yield events.OutputsLogged(made), end_ms or start_ms
    if run.status in ENDED and end_ms and (run.status, end_ms) != (there.status, there.end_time_ms):
        yield events.RunEnded(run.status, end_ms), end_ms
    elif (run.status, end_ms) != (there.status, there.end_time_ms):
        yield events.RunUpdated(status=run.status, end_time_ms=end_ms), end_ms or start_ms
    if run.deleted and not there.deleted:
        yield events.RunDeleted(), run.deleted_time_ms or end_ms or start_ms
    if there.deleted and not run.deleted:
        yield events.RunRestored(), end_ms or start_ms
