"""Brings a source into a server, run by run, reads everything back, and reports whether the two are equal.

A run that the server does not have is sent whole, by a writer whose id comes from the source, so that what is sent
twice is dropped. One that it has is compared, and only what it lacks is sent: so an import that was killed goes on, one
that is repeated changes nothing, and one of a source that has grown since brings what is new.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from headrace.ingest import events
from headrace.ingest.limits import artifact_path_fault
from headrace.sdk.coming import checksums, writing
from headrace.sdk.coming.arrival import Arrival, NotTaken, Rejected
from headrace.sdk.coming.checksums import Counted, counted, digest_of, facts
from headrace.sdk.coming.mlflow_json import run_of
from headrace.sdk.coming.models import import_models
from headrace.sdk.coming.report import Report, RunReport
from headrace.sdk.coming.source import (
    Left,
    Series,
    Source,
    SourceExperiment,
    SourceFault,
    SourceRun,
    derived_id,
    usable_key,
)
from headrace.sdk.transport import sha256_of

WINDOW_RUNS = 50
"""So many runs are sent before they are read back together."""
ORIGIN = "import"


@dataclass(frozen=True, slots=True)
class Options:
    """What is imported, and where to.

    experiments: only these, and the name each gets here; none for all. into: one experiment for all runs. prefix: of
    the names of experiments here. deleted: deleted experiments and runs too. files: artifacts too.
    """

    experiments: dict[str, str] = field(default_factory=dict)
    into: str = ""
    prefix: str = ""
    deleted: bool = False
    files: bool = True

    def name_of(self, experiment: SourceExperiment) -> str | None:
        """The name an experiment gets here, None when it is not asked for."""
        if self.experiments and experiment.name not in self.experiments:
            return None
        if experiment.deleted and not self.deleted:
            return None
        return self.into or self.prefix + self.experiments.get(experiment.name, experiment.name)


@dataclass(slots=True)
class Progress:
    """How far an import is; told after each run and while points are sent."""

    runs_total: int = 0
    runs: int = 0
    points: int = 0
    files: int = 0
    bytes: int = 0


@dataclass(slots=True)
class _Expected:
    """What the server must hold of a run. run: as `fitted` left it."""

    run: SourceRun
    report: RunReport
    metrics: dict[str, Counted] = field(default_factory=dict)


class Import:
    """One import. source_name: what reports call the source."""

    def __init__(
        self,
        source: Source,
        arrival: Arrival,
        options: Options,
        source_name: str,
        told: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._source = source
        self._arrival = arrival
        self._options = options
        self._told = told
        self.progress = Progress()
        self.report = Report(source_name, source.system, arrival.url)

    def run(self) -> Report:
        """Do it. Raises SourceFault or NotTaken when it cannot go on at all."""
        wanted = []
        found = self._source.experiments()
        for absent in self._options.experiments.keys() - {one.name for one in found}:
            raise SourceFault(
                f"there is no experiment {absent!r}; there are {', '.join(sorted(x.name for x in found))}"
            )
        for experiment in found:
            name = self._options.name_of(experiment)
            if name is None:
                self.report.skipped_deleted += experiment.deleted
                continue
            run_ids = self._source.run_ids(experiment)
            self.progress.runs_total += len(run_ids)
            wanted.append((experiment, name, run_ids))
        self._told(self.progress)
        for experiment, name, run_ids in wanted:
            experiment_id, root = self._place(experiment, name)
            self.report.experiments[experiment.name] = name
            left = iter(run_ids)
            while window := list(islice(left, WINDOW_RUNS)):
                self._window(window, experiment, experiment_id, name)
            import_models(self._source, self._arrival, self.report, experiment, experiment_id, root, self._options)
        self.report.left += self._source.left
        # What was read twice was met twice.
        self.report.left = list(dict.fromkeys(self.report.left))
        return self.report

    # --- experiments --------------------------------------------------------------------------------------------------

    def _place(self, experiment: SourceExperiment, name: str) -> tuple[str, str]:
        """The experiment's id and artifact root here (empty for the usual one); it is made if there is none.

        Raises NotTaken.
        """
        held = self._arrival.experiment(name)
        if held is not None and held.lifecycle_stage == "deleted" and not experiment.deleted:
            raise NotTaken(
                f"the experiment {name!r} is in the bin there: take it out (`headrace experiments restore`), or give"
                " its runs another one with --experiment OLD=NEW"
            )
        tags = dict(experiment.tags)
        pen = writing.Pen(derived_id(ORIGIN, self._source.system, name, digest_of([tags, experiment.deleted])), ORIGIN)
        time_ms = experiment.creation_time_ms
        if held is None:
            experiment_id = self._arrival.free_experiment_id(name)
            frames = [pen.event(experiment_id, events.ExperimentCreated(name, "", tags, True), time_ms)]
            if experiment.deleted:
                frames.append(pen.event(experiment_id, events.ExperimentDeleted(), time_ms))
            self._arrival.send(frames)
            return experiment_id, ""
        absent = {key: value for key, value in tags.items() if key not in held.tags}
        for key in sorted(tags.keys() & held.tags.keys()):
            if tags[key] != held.tags[key]:
                why = f"the experiment {name!r} is here already, and has another value"
                self.report.left.append(Left("", f"tag {key} of the experiment {experiment.name}", why))
        if absent:
            self._arrival.send([pen.event(held.experiment_id, events.ExperimentTagsSet(absent), time_ms)])
        return held.experiment_id, held.artifact_location

    # --- runs ---------------------------------------------------------------------------------------------------------

    def _window(self, run_ids: Sequence[str], experiment: SourceExperiment, experiment_id: str, name: str) -> None:
        sent: list[_Expected] = []
        for run_id in run_ids:
            report = RunReport(run_id, experiment.name)
            try:
                run = writing.fitted(self._source.run(run_id))
                if run.deleted and not self._options.deleted:
                    self.report.skipped_deleted += 1
                    self._done_with(1)
                    continue
                report.params, report.tags = len(run.params), len(run.tags)
                expected = _Expected(run, report)
                if self._arrival.run(run_id) is None:
                    self._send_whole(expected, experiment_id, name)
                    self._send_files(expected, {})
                else:
                    report.outcome = "there already"
                    self._read(expected)
                sent.append(expected)
                self.report.left += run.problems
            except (SourceFault, Rejected) as error:
                report.outcome = "failed"
                report.differences.append(str(error))
                self._done_with(1)
            self.report.runs.append(report)
        lacking = self._compare(sent, experiment_id, experiment.deleted)
        for expected in lacking:
            expected.report.outcome = "completed"
            try:
                self._complete(expected, experiment_id, name)
            except Rejected as error:
                expected.report.outcome = "failed"
                expected.report.differences.append(str(error))
        completed = [expected for expected in lacking if expected.report.outcome == "completed"]
        self._compare(completed, experiment_id, experiment.deleted)
        self._done_with(len(sent))

    def _done_with(self, runs: int) -> None:
        self.progress.runs += runs
        self._told(self.progress)

    def _writer(self, run_id: str) -> str:
        return derived_id(ORIGIN, self._source.system, run_id)

    def _series(self, expected: _Expected) -> Iterator[Series]:
        """The run's metrics under keys that are allowed, noted as they pass. Raises SourceFault."""
        for given in self._source.series(expected.run.run_id):
            one = given
            if usable_key(given.key) != given.key:
                one = given._replace(key=usable_key(given.key))
                why = f"it is {one.key!r} here"
                self.report.left.append(Left(expected.run.run_id, f"metric key {given.key[:80]!r}", why))
            if not len(one.step):
                continue
            if one.key in expected.metrics:
                raise SourceFault(f"the metric {one.key!r} comes twice")
            expected.metrics[one.key] = counted(one)
            yield one
        report = expected.report
        report.metrics = len(expected.metrics)
        report.points = sum(one.points for one in expected.metrics.values())
        lines = sorted((key, *told) for key, told in expected.metrics.items())
        report.points_sha256 = digest_of(lines)

    def _send_whole(self, expected: _Expected, experiment_id: str, name: str) -> None:
        run = expected.run
        pen = writing.Pen(self._writer(run.run_id), ORIGIN)
        frames = [pen.event(run.run_id, event, ms) for event, ms in writing.events_of(run, experiment_id, name)]
        self._arrival.send(frames)
        for batch in writing.batches(self._series(expected)):
            self._arrival.send([pen.points(run.run_id, batch)])
            self.progress.points += sum(len(one.step) for one in batch)
            self._told(self.progress)

    def _read(self, expected: _Expected) -> None:
        """Count the points and hash the files, and send nothing."""
        for _ in self._series(expected):
            pass
        for _, _ in self._fetched(expected):
            pass

    def _fetched(self, expected: _Expected) -> Iterator[tuple[str, Path]]:
        """The run's files, each on this machine until the next one. Raises SourceFault."""
        if not self._options.files:
            return
        with tempfile.TemporaryDirectory(prefix="headrace-import-") as folder:
            for item in self._source.files(expected.run.run_id):
                fault = artifact_path_fault(item.path)
                if fault is not None:
                    self.report.left.append(Left(expected.run.run_id, f"artifact {item.path!r}", fault))
                    continue
                local = Path(folder) / "file"
                try:
                    item.fetch(local)
                except OSError as error:
                    raise SourceFault(f"the artifact {item.path} cannot be read: {error}") from error
                expected.report.files[item.path] = sha256_of(local)
                yield item.path, local
                local.unlink(missing_ok=True)

    def _send_files(self, expected: _Expected, held: dict[str, str]) -> None:
        """Store the run's files, but for those that are held with the same checksum."""
        run_id = expected.run.run_id
        for path, local in self._fetched(expected):
            if held.get(path) == expected.report.files[path]:
                continue
            self._arrival.put_file(run_id, path, local)
            self.progress.files += 1
            self.progress.bytes += local.stat().st_size
            self._told(self.progress)

    # --- reading back -------------------------------------------------------------------------------------------------

    def _compare(self, sent: Sequence[_Expected], experiment_id: str, deleted: bool) -> list[_Expected]:
        """Read runs back and write down what differs; those where something does. Raises NotTaken."""
        held: dict[str, dict[str, Counted]] = {one.run.run_id: {} for one in sent}
        for run_id, series in self._arrival.series(list(held)) if held else ():
            held[run_id][series.key] = counted(series)
        lacking = []
        for expected in sent:
            differences = self._differences(expected, held[expected.run.run_id], experiment_id, deleted)
            expected.report.differences = differences
            if differences:
                lacking.append(expected)
        return lacking

    def _differences(
        self, expected: _Expected, held: dict[str, Counted], experiment_id: str, deleted: bool
    ) -> list[str]:
        run = expected.run
        given = self._arrival.run(run.run_id)
        if given is None:
            return ["the run is not there"]
        wanted = facts(run)
        wanted["deleted"] = run.deleted or deleted
        found = checksums.differences(wanted, facts(run_of(given)))
        if given["info"].get("experiment_id") != experiment_id:
            found.append(f"experiment: {experiment_id} there, {given['info'].get('experiment_id')} here")
        for key in sorted({*expected.metrics, *held}):
            there, here = expected.metrics.get(key), held.get(key)
            if there != here:
                counts = f"{there.points if there else 0} points there, {here.points if here else 0} here"
                found.append(f"metrics.{key}: {counts}, with other checksums")
        if expected.report.files:
            stored = self._arrival.files(run.run_id)
            for path, sha256 in sorted(expected.report.files.items()):
                if path not in stored:
                    found.append(f"artifact {path}: it is not there")
                elif self._arrival.sha256(run.run_id, path) != sha256:
                    found.append(f"artifact {path}: it has another checksum")
        return found

    # --- a run that is there in part ----------------------------------------------------------------------------------

    def _complete(self, expected: _Expected, experiment_id: str, name: str) -> None:
        """Send what the server lacks of a run. Raises NotTaken, SourceFault."""
        run = expected.run
        first = writing.Pen(self._writer(run.run_id), ORIGIN)
        # A request of an import that was killed may still be on its way into the log: what is sent now comes behind it,
        # and is known, by its sequence, as what came before.
        event, time_ms = next(writing.events_of(run, experiment_id, name))
        self._arrival.send([first.event(run.run_id, event, time_ms)])
        given = self._arrival.run(run.run_id)
        if given is None:
            raise NotTaken(f"{self._arrival.url} has the run {run.run_id} no more")
        there = run_of(given)
        here: dict[str, Series] = {}
        for _, series in self._arrival.series([run.run_id]):
            here[series.key] = series
        state = digest_of([facts(there), sorted((key, *counted(one)) for key, one in here.items())])
        pen = writing.Pen(derived_id(self._writer(run.run_id), state), ORIGIN)
        frames = [pen.event(run.run_id, event, ms) for event, ms in _lacking(run, there)]
        self._arrival.send(frames)
        expected.metrics.clear()
        absent = (checksums.absent(one, here.pop(one.key, None))[0] for one in self._series(expected))
        for batch in writing.batches(one for one in absent if one is not None):
            self._arrival.send([pen.points(run.run_id, batch)])
            self.progress.points += sum(len(one.step) for one in batch)
            self._told(self.progress)
        if expected.report.files:
            stored = self._arrival.files(run.run_id).keys() & expected.report.files.keys()
            self._send_files(expected, {path: self._arrival.sha256(run.run_id, path) for path in stored})
        elif self._options.files:
            self._send_files(expected, {})


def _lacking(run: SourceRun, there: SourceRun) -> Iterator[tuple[events.Event, int]]:
    """Events that make a run that is there what it should be, with their times. What it has too much of stays."""
    start_ms, end_ms = run.start_time_ms, run.end_time_ms
    params = {key: value for key, value in run.params.items() if key not in there.params}
    tags = {key: value for key, value in run.tags.items() if there.tags.get(key) != value}
    for some_params, some_tags in writing.chunks(params, tags):
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
    if run.status in writing.ENDED and end_ms and (run.status, end_ms) != (there.status, there.end_time_ms):
        yield events.RunEnded(run.status, end_ms), end_ms
    elif (run.status, end_ms) != (there.status, there.end_time_ms):
        yield events.RunUpdated(status=run.status, end_time_ms=end_ms), end_ms or start_ms
    if run.deleted and not there.deleted:
        yield events.RunDeleted(), run.deleted_time_ms or end_ms or start_ms
    if there.deleted and not run.deleted:
        yield events.RunRestored(), end_ms or start_ms
