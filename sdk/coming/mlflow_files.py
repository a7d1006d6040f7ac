"""An `mlruns` folder: MLflow's file store, versions 1 to 3, read as it lies there."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from headrace.ingest import events
from headrace.ingest.limits import is_run_id
from headrace.sdk.coming import registered
from headrace.sdk.coming.local_files import files_below, folder_of, names_below, read_small, texts_below
from headrace.sdk.coming.mlflow_json import MODEL_STATUS, status_of
from headrace.sdk.coming.source import (
    Left,
    LocalFile,
    Series,
    SourceExperiment,
    SourceFault,
    SourceModel,
    SourceRegistered,
    SourceRun,
    integer,
    series_of,
    text_of,
)

TRASH = ".trash"
_OTHERS = ("models", "tags", "datasets", "traces")
"""Folders of an experiment that are no runs."""
_LINE_CHARS_MAX = 4096

_Point = tuple[str, int, int, str]


class MlflowFiles:
    """One `mlruns` folder. root: the folder that has a folder for each experiment."""

    system = "mlflow"

    def __init__(self, root: Path, artifacts: Path | None = None) -> None:
        """artifacts: where what `mlflow-artifacts:/` names lies. Raises SourceFault when it is no such folder."""
        self._root = root
        self._artifacts = artifacts
        self._runs: dict[str, Path] = {}
        self._models: dict[str, Path] = {}
        self._links: tuple[Path, dict[str, dict[_Point, str]]] | None = None
        self.left: list[Left] = []
        if not any(self._experiment_folders()):
            raise SourceFault(f"{root} is no mlruns folder: none of its folders has a meta.yaml")

    def close(self) -> None:
        """Nothing is open."""

    def experiments(self) -> list[SourceExperiment]:
        found = []
        for folder in self._experiment_folders():
            meta = read_yaml(folder / "meta.yaml")
            name = meta.get("name")
            if not isinstance(name, str) or not name:
                raise SourceFault(f"{folder / 'meta.yaml'} names no experiment")
            deleted = meta.get("lifecycle_stage") == "deleted" or folder.parent.name == TRASH
            created = integer(meta.get("creation_time"), f"creation_time in {folder / 'meta.yaml'}")
            key = str(folder.relative_to(self._root))
            found.append(SourceExperiment(key, name, texts_below(folder / "tags"), created, deleted))
        return found

    def run_ids(self, experiment: SourceExperiment) -> list[str]:
        folder = self._root / experiment.key
        found = []
        for one in sorted(x for x in folder.iterdir() if x.is_dir() and x.name not in _OTHERS):
            if not is_run_id(one.name) or not (one / "meta.yaml").is_file():
                self.left.append(Left("", f"folder {one.relative_to(self._root)}", "it has no meta.yaml of a run"))
                continue
            self._runs[one.name] = one
            found.append(one.name)
        traces = folder / "traces"
        if traces.is_dir() and any(traces.iterdir()):
            self.left.append(Left("", f"traces of the experiment {experiment.name}", "traces are not carried over"))
        return found

    def run(self, run_id: str) -> SourceRun:
        folder = self._runs[run_id]
        meta = read_yaml(folder / "meta.yaml")
        if str(meta.get("run_id") or meta.get("run_uuid") or "") != run_id:
            raise SourceFault(f"{folder / 'meta.yaml'} is of another run")
        return SourceRun(
            run_id,
            str(meta.get("run_name") or meta.get("name") or ""),
            str(meta.get("user_id") or ""),
            status_of(meta.get("status", "RUNNING")),
            integer(meta.get("start_time"), "start_time"),
            integer(meta.get("end_time"), "end_time"),
            meta.get("lifecycle_stage") == "deleted",
            integer(meta.get("deleted_time"), "deleted_time"),
            texts_below(folder / "params"),
            texts_below(folder / "tags"),
            self._inputs(folder),
            events.OutputsLogged(
                [
                    events.ModelOutput(str(one.get("source_id", "")), integer(one.get("step"), "step"))
                    for one in _metas(folder / "outputs")
                ]
            ),
        )

    def series(self, run_id: str) -> Iterator[Series]:
        folder = self._runs[run_id] / "metrics"
        links = self._links_of(self._runs[run_id].parent).get(run_id, {})
        for key in names_below(folder):
            # Arrays: 24 bytes a point, where lists have four times as many.
            step, timestamp_ms, value = array("q"), array("q"), array("d")
            texts: list[str] = []
            for words in self._lines(folder / key, run_id):
                timestamp_ms.append(integer(words[0], f"a time of {key}"))
                value.append(float(words[1]))
                step.append(integer(words[2], f"a step of {key}") if len(words) > 2 else 0)
                if links:
                    texts.append(words[1])
            models = [links.get((key, *point), "") for point in zip(timestamp_ms, step, texts, strict=False)]
            yield series_of(key, step, timestamp_ms, value, models if any(models) else None)

    def files(self, run_id: str) -> Iterator[LocalFile]:
        folder = self._runs[run_id] / "artifacts"
        if folder.is_dir() and any(folder.iterdir()):
            yield from files_below(folder, run_id, self.left)
            return
        uri = str(read_yaml(folder.parent / "meta.yaml").get("artifact_uri") or "")
        elsewhere = folder_of(uri, run_id, self._artifacts) if uri else folder
        if isinstance(elsewhere, str):
            self.left.append(Left(run_id, "artifacts", elsewhere))
        elif elsewhere.is_dir():
            yield from files_below(elsewhere, run_id, self.left)

    def models(self, experiment: SourceExperiment) -> Iterator[SourceModel]:
        folder = self._root / experiment.key / "models"
        for one in sorted(folder.iterdir()) if folder.is_dir() else ():
            if not is_run_id(one.name) or not (one / "meta.yaml").is_file():
                continue
            meta = read_yaml(one / "meta.yaml")
            self._models[one.name] = one
            yield SourceModel(
                one.name,
                str(meta.get("name") or ""),
                str(meta.get("source_run_id") or ""),
                str(meta.get("model_type") or ""),
                MODEL_STATUS.get(meta.get("status", 2), "LOGGED_MODEL_READY"),
                texts_below(one / "params"),
                texts_below(one / "tags"),
                integer(meta.get("creation_timestamp"), "creation_timestamp"),
                integer(meta.get("last_updated_timestamp"), "last_updated_timestamp"),
                meta.get("lifecycle_stage") == "deleted",
            )

    def model_files(self, model_id: str) -> Iterator[LocalFile]:
        yield from files_below(self._models[model_id] / "artifacts", "", self.left)

    def registered(self) -> Iterator[SourceRegistered]:
        return registered.in_folders(self._root / "models", read_yaml, self.left)

    def _experiment_folders(self) -> Iterator[Path]:
        for parent in (self._root, self._root / TRASH):
            if not parent.is_dir():
                continue
            for folder in sorted(parent.iterdir()):
                if folder.name not in (TRASH, "models") and (folder / "meta.yaml").is_file():
                    yield folder

    def _inputs(self, folder: Path) -> events.InputsLogged:
        datasets = []
        models = []
        for meta in _metas(folder / "inputs"):
            source = str(meta.get("source_id", ""))
            if meta.get("source_type") != "DATASET":
                models.append(events.ModelInput(source))
                continue
            if not is_run_id(source):
                raise SourceFault(f"{folder / 'inputs'} names a data set {source[:80]!r}, which is no id")
            told = read_yaml(folder.parent / "datasets" / source / "meta.yaml")
            names = ("name", "digest", "source_type", "source", "schema", "profile")
            dataset = events.Dataset(*(text_of(told.get(name) or "") for name in names))
            tags = meta.get("tags") or {}
            if not isinstance(tags, dict):
                raise SourceFault(f"{folder / 'inputs'} has tags that are no mapping")
            datasets.append(events.DatasetInput(dataset, {str(key): str(value) for key, value in tags.items()}))
        return events.InputsLogged(datasets, models)

    def _lines(self, file: Path, run_id: str) -> Iterator[list[str]]:
        """The fields of each line of a file of points: time, value, step and what else there is."""
        with open(file, encoding="utf-8", errors="replace") as opened:
            number = 0
            while line := opened.readline(_LINE_CHARS_MAX):
                number += 1
                words = line.split()
                if not line.endswith("\n") and len(line) < _LINE_CHARS_MAX:
                    # MLflow ends every line, so this one was cut off, and its last number may lack digits.
                    why = f"it is cut off: {line[:80]!r}"
                    self.left.append(Left(run_id, f"the last line of {file.relative_to(self._root)}", why))
                    return
                try:
                    int(words[0]), float(words[1]), int(words[2]) if len(words) > 2 else 0
                except (ValueError, IndexError) as error:
                    if words or len(line) == _LINE_CHARS_MAX:
                        raise SourceFault(f"{file}, line {number}: {line[:80]!r} is no point") from error
                    continue
                yield words

    def _links_of(self, experiment: Path) -> dict[str, dict[_Point, str]]:
        """Of each run, the points that belong to a logged model: by key, time, step and value as it is written."""
        if self._links is None or self._links[0] != experiment:
            found: dict[str, dict[_Point, str]] = {}
            folder = experiment / "models"
            for model in sorted(folder.iterdir()) if folder.is_dir() else ():
                for key in names_below(model / "metrics"):
                    for words in self._lines(model / "metrics" / key, ""):
                        if len(words) > 3:
                            point = (key, int(words[0]), int(words[2]), words[1])
                            found.setdefault(words[3], {})[point] = model.name
            self._links = (experiment, found)
        return self._links[1]


def _metas(folder: Path) -> Iterator[dict[str, Any]]:
    for one in sorted(folder.iterdir()) if folder.is_dir() else ():
        if (one / "meta.yaml").is_file():
            yield read_yaml(one / "meta.yaml")


def read_yaml(file: Path) -> dict[str, Any]:
    """A mapping in a YAML file. Raises SourceFault."""
    text = read_small(file)
    if "&" in text and any(isinstance(token, yaml.AnchorToken) for token in _tokens(text, file)):
        # What MLflow writes has none, and they make a small file as large as one likes.
        raise SourceFault(f"{file} has YAML anchors, which MLflow does not write")
    try:
        found = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SourceFault(f"{file} is no YAML: {str(error)[:200]}") from error
    if not isinstance(found, dict):
        raise SourceFault(f"{file} holds no mapping")
    return found


def _tokens(text: str, file: Path) -> Iterator[Any]:
    try:
        yield from yaml.scan(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SourceFault(f"{file} is no YAML: {str(error)[:200]}") from error
