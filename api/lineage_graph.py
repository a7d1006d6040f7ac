"""The graph that lineage is told as: walked from one thing upstream and downstream, and bounded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final, Literal, TypeAlias

import msgspec
from headrace.api.serving.resolving import ANY, Unresolved, resolve
from headrace.ingest import events
from headrace.processors.registered_models import ModelVersion, RegisteredModel
from headrace.processors.registry import DELETED, Registry
from headrace.processors.runs import RunState

NODES_MAX: Final = 500
CODE_TAG: Final = "mlflow.source.name"
COMMIT_TAG: Final = "mlflow.source.git.commit"
CONTEXT_TAG: Final = "mlflow.data.context"

Kind: TypeAlias = Literal["dataset", "code", "run", "logged_model", "model_version", "endpoint"]
Key: TypeAlias = tuple[Kind, str]
"""A node: its kind, and its id among those."""
Up, Down = True, False


class Node(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing. key: KIND:ID, unique in the graph. kind, id: as `history` takes them; a version's id is NAME/NUMBER, a
    data set's NAME@DIGEST. name: for people. missing: why no more is known of it. All else where there is such."""

    key: str
    kind: Kind
    id: str
    name: str
    experiment_id: str = ""
    status: str = ""
    stage: str = ""
    aliases: list[str] = []
    source: str = ""
    time_ms: int = 0
    missing: str = ""


class Edge(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """That one node led to another, by their keys. label: how, such as training or 90 %."""

    from_: str
    to: str
    label: str = ""


class Graph(msgspec.Struct, frozen=True):
    """What led to a thing and what came of it. start: the keys it was walked from. truncated: there is more."""

    start: list[str]
    nodes: list[Node]
    edges: list[Edge]
    truncated: bool


Runs: TypeAlias = Callable[[Collection[str]], dict[str, RunState]]
"""The runs of these ids that there were at the moment."""
Readers: TypeAlias = Callable[[Collection[str]], Collection[str]]
"""Ids of runs whose inputs may name one of these texts."""


class Walk:
    """One walk. runs, readers: see above; they block on I/O. registry: of the moment."""

    def __init__(self, registry: Registry, runs: Runs, readers: Readers, nodes_max: int = NODES_MAX) -> None:
        self._registry = registry
        self._runs = runs
        self._readers = readers
        self._most = nodes_max
        self._states: dict[str, RunState] = {}
        self._edges: dict[tuple[Key, Key], str] = {}
        self._versions: dict[str, tuple[RegisteredModel, ModelVersion]] = {}
        self._of_run: dict[str, list[str]] = {}
        self._of_logged: dict[str, list[str]] = {}
        self._made: dict[str, list[str]] = {}
        self._routes: dict[str, list[tuple[str, str]]] = {}
        self._index()

    def graph(self, start: Iterable[Key]) -> Graph:
        """The graph around these, nearest first."""
        begin = list(dict.fromkeys(start))[: self._most]
        found = dict.fromkeys(begin)
        truncated = False
        for up in (Up, Down):
            reached, level = set(begin), begin
            while level:
                self._load(level, up)
                following: dict[Key, None] = {}
                for key in level:
                    for other, label in self._beside(key, up):
                        if other not in found and len(found) >= self._most:
                            truncated = True
                            continue
                        found[other] = None
                        self._edges[(other, key) if up else (key, other)] = label
                        if other not in reached:
                            reached.add(other)
                            following[other] = None
                level = list(following)
        self._load(found, Up)
        nodes = [self._node(key) for key in found]
        edges = [Edge(_text(a), _text(b), label) for (a, b), label in self._edges.items()]
        return Graph([_text(key) for key in begin], nodes, edges, truncated)

    def _index(self) -> None:
        for model in list(self._registry.models.by_name.values()):
            for version in model.live_versions():
                name = f"{model.name}/{version.version}"
                self._versions[name] = model, version
                if version.model_id:
                    self._of_logged.setdefault(version.model_id, []).append(name)
                elif version.run_id:
                    self._of_run.setdefault(version.run_id, []).append(name)
        for logged in list(self._registry.logged_models.values()):
            if logged.lifecycle != DELETED and logged.source_run_id:
                self._made.setdefault(logged.source_run_id, []).append(logged.model_id)
        for endpoint in list(self._registry.endpoints.values()):
            for uri in endpoint.uris:
                try:
                    named = resolve(self._registry, uri, ANY)
                except Unresolved:
                    continue
                behind = f"{named.model}/{named.version}" if named.model else named.model_id
                self._routes.setdefault(endpoint.name, []).append((behind, uri.removeprefix("models:/")))

    def _load(self, keys: Iterable[Key], up: bool) -> None:
        """Read what the next step needs of runs, all at once."""
        held = list(keys)
        wanted = {id for kind, id in held if kind == "run"}
        if not up:
            texts = [id if kind == "logged_model" else id.rpartition("@")[2] for kind, id in held if kind in _READ]
            wanted |= set(self._readers(texts)) if texts else set()
        wanted -= self._states.keys()
        if wanted:
            self._states |= self._runs(wanted)

    def _beside(self, key: Key, up: bool) -> Iterator[tuple[Key, str]]:
        return self._before(*key) if up else self._behind(*key)

    def _before(self, kind: Kind, id: str) -> Iterator[tuple[Key, str]]:
        """What led to a node, each with the label of the edge."""
        if kind == "run" and (run := self._states.get(id)) is not None:
            for item in run.inputs.datasets:
                yield ("dataset", f"{item.dataset.name}@{item.dataset.digest}"), item.tags.get(CONTEXT_TAG, "")
            for read in run.inputs.models:
                yield ("logged_model", read.model_id), "read"
            if code := _code(run.tags):
                yield ("code", code), ""
            if run.forked_from:
                yield ("run", run.forked_from), f"forked at step {run.fork_step}"
        elif kind == "logged_model" and (logged := self._registry.logged_models.get(id)) is not None:
            if logged.source_run_id:
                yield ("run", logged.source_run_id), ""
        elif kind == "model_version" and (held := self._versions.get(id)) is not None:
            yield from self._of_version(held[1])
        elif kind == "endpoint":
            for behind, label in self._routes.get(id, []):
                yield (("model_version" if "/" in behind else "logged_model"), behind), label

    def _of_version(self, version: ModelVersion) -> Iterator[tuple[Key, str]]:
        if version.model_id:
            yield ("logged_model", version.model_id), ""
        elif version.run_id:
            yield ("run", version.run_id), ""
        if not self._run_known(version):
            for item in version.datasets:
                yield ("dataset", f"{item.name}@{item.digest}"), item.context
            if code := _code(version.code):
                yield ("code", code), ""

    def _run_known(self, version: ModelVersion) -> bool:
        """Whether the run itself tells what it read: one that was erased, or is of elsewhere, does not."""
        if version.run_id and version.run_id not in self._states:
            self._states |= self._runs([version.run_id])
        return version.run_id in self._states

    def _behind(self, kind: Kind, id: str) -> Iterator[tuple[Key, str]]:
        """What came of a node, each with the label of the edge."""
        if kind == "run":
            run = self._states.get(id)
            made = [model.model_id for model in run.outputs.models] if run is not None else []
            for model_id in dict.fromkeys([*made, *self._made.get(id, [])]):
                yield ("logged_model", model_id), ""
            for name in self._of_run.get(id, []):
                yield ("model_version", name), ""
        elif kind in _READ:
            for run in list(self._states.values()):
                if (label := _reads(run, kind, id)) is not None:
                    yield ("run", run.run_id), label
            for name in self._of_logged.get(id, []) if kind == "logged_model" else []:
                yield ("model_version", name), ""
        if kind in ("model_version", "logged_model"):
            for endpoint, behind in self._routes.items():
                for named, label in behind:
                    if named == id:
                        yield ("endpoint", endpoint), label

    def _node(self, key: Key) -> Node:
        kind, id = key
        text = _text(key)
        if kind == "run":
            run = self._states.get(id)
            if run is None:
                return Node(text, kind, id, id[:8], missing="It was erased, or is not of this server.")
            return Node(text, kind, id, run.name or id[:8], run.experiment_id, run.status, time_ms=run.start_time_ms)
        if kind == "logged_model":
            logged = self._registry.logged_models.get(id)
            if logged is None:
                return Node(text, kind, id, id, missing="It is not known to this server.")
            status = logged.status.removeprefix("LOGGED_MODEL_")
            return Node(
                text, kind, id, logged.name or id, logged.experiment_id, status, time_ms=logged.creation_time_ms
            )
        if kind == "model_version":
            model, version = self._versions[id]
            return Node(
                *(text, kind, id, f"{model.name} {version.version}", "", version.status, version.stage),
                model.aliases_of(version.version),
                time_ms=version.creation_time_ms,
            )
        if kind == "dataset":
            return Node(text, kind, id, id.rpartition("@")[0], source=self._source(id))
        return Node(text, kind, id, id)

    def _source(self, dataset: str) -> str:
        for run in self._states.values():
            for item in run.inputs.datasets:
                if f"{item.dataset.name}@{item.dataset.digest}" == dataset:
                    return item.dataset.source[:500]
        return ""


_READ = ("dataset", "logged_model")


def _reads(run: RunState, kind: str, id: str) -> str | None:
    """How a run read a data set or logged model; None if it did not."""
    if kind == "logged_model":
        return "read" if any(one.model_id == id for one in run.inputs.models) else None
    return next((item.tags.get(CONTEXT_TAG, "") for item in run.inputs.datasets if _id(item) == id), None)


def _id(item: events.DatasetInput) -> str:
    return f"{item.dataset.name}@{item.dataset.digest}"


def _code(tags: dict[str, str]) -> str:
    """What code a run ran, by its tags: its source, and the commit of that."""
    name, commit = tags.get(CODE_TAG, ""), tags.get(COMMIT_TAG, "")
    return f"{name}@{commit[:12]}" if name and commit else name or commit[:12]


def _text(key: Key) -> str:
    return ":".join(key)
