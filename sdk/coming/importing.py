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

from headrace.ingest.limits import artifact_path_fault
from headrace.sdk.coming import checksums, writing
from headrace.sdk.coming.arrival import Arrival, NotTaken, Rejected
from headrace.sdk.coming.checksums import Counted, counted, digest_of, facts
from headrace.sdk.coming.mlflow_json import run_of
from headrace.sdk.coming.models import import_models
from headrace.sdk.coming.options import ORIGIN, Options, Progress
from headrace.sdk.coming.placing import place
from headrace.sdk.coming.registering import import_registered
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
            experiment_id, root = place(self._arrival, experiment, name, self._source.system, self.report.left)
            self.report.experiments[experiment.name] = name
            left = iter(run_ids)
            while window := list(islice(left, WINDOW_RUNS)):
                self._window(window, experiment, experiment_id, name)
            import_models(self._source, self._arrival, self.report, experiment, experiment_id, root, self._options)
        import_registered(self._source, self._arrival, self.report, self._options)
        self.report.left += self._source.left
        # What was read twice was met twice.
        self.report.left = list(dict.fromkeys(self.report.left))
        return self.report

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
        frames = [pen.event(run.run_id, event, ms) for event, ms in writing.lacking_of(run, there)]
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
