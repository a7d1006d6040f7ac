"""Registered models of a source: into the registry with their versions, stages and aliases, and read back.

A version whose files belong to a run or logged model that came over points to these here. What the registry has under
a name already stays as it is, since endpoints may follow it: only what it lacks is added, and what differs is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from headrace.ingest import model_events as m
from headrace.ingest.digests import digest_of as digest_of_files
from headrace.ingest.event import Event
from headrace.ingest.model_names import alias_fault, model_name_fault
from headrace.sdk.coming import checksums, writing
from headrace.sdk.coming.arrival import Arrival, Rejected
from headrace.sdk.coming.checksums import digest_of
from headrace.sdk.coming.options import ORIGIN, Options
from headrace.sdk.coming.registered import DELETED, of_json
from headrace.sdk.coming.report import Report, RunReport
from headrace.sdk.coming.source import (
    Left,
    Source,
    SourceFault,
    SourceRegistered,
    SourceVersion,
    derived_id,
    usable_key,
)
from msgspec.structs import replace as with_fields

STORE = "mlflow-artifacts:/"
LEFT_BEHIND = "left-behind:"
"""In place of `mlflow-artifacts:` in the source of a version whose files stay in another server's store."""
Place = tuple[str, dict[str, tuple[str, int]]]
"""Where the files of a version lie here, and each one's checksum and size in bytes by its path."""


def import_registered(source: Source, arrival: Arrival, report: Report, options: Options) -> None:
    """Bring the registered models, and write down what became of each. Raises NotTaken.

    Where only some experiments are asked for, the models come of which a version was made by a run or logged model
    that is here.
    """
    if not options.registry:
        return
    work = _Work(source, arrival, report)
    for model in source.registered():
        if options.experiments and not any(work.is_here(version) for version in model.versions):
            continue
        told = RunReport(model.name, "")
        report.registered.append(told)
        try:
            fault = model_name_fault(model.name)
            if fault is not None:
                raise SourceFault(f"the registered model {model.name!r} cannot be named so here: {fault}")
            work.bring(model, told)
        except (SourceFault, Rejected) as error:
            told.outcome = "failed"
            told.differences.append(str(error))


class _Work:
    """One import of registered models."""

    def __init__(self, source: Source, arrival: Arrival, report: Report) -> None:
        self._source = source
        self._arrival = arrival
        self._report = report
        self._came = {one.run_id: one.files for one in (*report.runs, *report.models) if one.outcome != "failed"}
        self._roots: dict[str, str] = {}

    def is_here(self, version: SourceVersion) -> bool:
        """Whether the run or logged model of a version came over."""
        return version.run_id in self._came or version.model_id in self._came

    def bring(self, given: SourceRegistered, told: RunReport) -> None:
        """Send what the server lacks of a model, read it back, and compare."""
        model = self._fitted(given)
        live = [version for version in model.versions if version.stage != DELETED]
        told.versions, told.tags = len(live), len(model.tags)
        held = self._held(model.name)
        if held is not None:
            told.outcome = "there already"
        places = {version.version: self._place(version) for version in live}
        state = digest_of([_facts(model, places), None if held is None else _facts(held, {})])
        pen = writing.Pen(derived_id(ORIGIN, self._source.system, "registered model", model.name, state), ORIGIN)
        subject = derived_id(ORIGIN, self._source.system, "registered model", model.name)
        sent = [*_events(subject, model, held, places)]
        if sent:
            # One event is no news: that the model should exist.
            told.outcome = "imported" if held is None else "completed" if len(sent) > 1 else told.outcome
            if held is None or len(sent) > 1:
                self._arrival.send([pen.event(subject, event, time_ms) for event, time_ms in sent])
        found = self._held(model.name)
        if found is None:
            told.differences.append("the registered model is not there")
            return
        told.differences += checksums.differences(_facts(model, places), _facts(found, {}))

    def _fitted(self, model: SourceRegistered) -> SourceRegistered:
        """The model as it can be kept here; what could not stay as it was is written down."""
        aliases = {}
        for alias, version in model.aliases.items():
            fault = alias_fault(alias)
            if fault is None:
                aliases[alias] = version
            else:
                self._report.left.append(Left("", f"alias {alias!r} of the registered model {model.name}", fault))
        versions = tuple(replace(x, tags=self._tags(x.tags, f"{model.name} {x.version}")) for x in model.versions)
        return replace(model, aliases=aliases, versions=versions, tags=self._tags(model.tags, model.name))

    def _tags(self, tags: Mapping[str, str], owner: str) -> dict[str, str]:
        found = {}
        for key, value in sorted(tags.items()):
            if len(value) > writing.TEXT_CHARS_MAX:
                self._report.left.append(Left("", f"tag {key[:80]} of {owner}", f"it has {len(value)} characters"))
                continue
            usable = usable_key(key)
            if usable != key:
                self._report.left.append(Left("", f"tag {key[:80]!r} of {owner}", f"its key is {usable!r} here"))
            found[usable] = value
        return found

    def _held(self, name: str) -> SourceRegistered | None:
        model = self._arrival.registered(name)
        return None if model is None else of_json(model, self._arrival.versions(name))

    def _place(self, version: SourceVersion) -> Place:
        """Where the files of a version lie here; where they lay, and no files, if they did not come over."""
        uri = version.location or version.source
        for owner, inner in ((version.model_id, ""), (version.run_id, _below(version))):
            files = self._came.get(owner) if owner else None
            root = self._root(owner) if files is not None and inner is not None else ""
            if files is None or inner is None or not root:
                continue
            below = f"{inner}/" if inner else ""
            own = {path.removeprefix(below): sha256 for path, sha256 in files.items() if path.startswith(below)}
            sizes = self._arrival.files_at(root.removeprefix(STORE)) if own and root.startswith(STORE) else {}
            found = {path: (sha256, sizes.get(f"{below}{path}", 0)) for path, sha256 in own.items()}
            return f"{root}/{inner}".rstrip("/"), found
        if uri and not uri.startswith("models:/"):
            what = f"files of version {version.version} in {uri}"
            self._report.left.append(Left("", what, "they belong to no run or logged model that came over"))
        # What a server's own store has there is in none here; that path may be another's.
        return uri.replace("mlflow-artifacts:", LEFT_BEHIND, 1) if uri.startswith("mlflow-artifacts:") else uri, {}

    def _root(self, owner: str) -> str:
        """The artifact URI of a run or logged model here; empty if it is not here."""
        if owner not in self._roots:
            found = self._arrival.model(owner) if owner.startswith("m-") else self._arrival.run(owner)
            self._roots[owner] = "" if found is None else str(found["info"].get("artifact_uri", ""))
        return self._roots[owner]


def _below(version: SourceVersion) -> str | None:
    """The path of a version's files below the artifacts of its run; None if they are elsewhere."""
    for uri in (version.location, version.source):
        _, found, path = uri.partition(f"/{version.run_id}/artifacts/")
        if found:
            return path.strip("/")
        if uri.startswith(f"runs:/{version.run_id}/"):
            return uri.removeprefix(f"runs:/{version.run_id}/").strip("/")
    return None


def _facts(model: SourceRegistered, places: Mapping[int, Place]) -> dict[str, Any]:
    """What is compared of a model. places: of a source's versions, whose files lie elsewhere here."""
    facts: dict[str, Any] = {
        "description": model.description,
        "creation_time_ms": model.creation_time_ms,
        "tags": dict(model.tags),
        "aliases": dict(model.aliases),
    }
    for version in model.versions:
        if version.stage == DELETED:
            continue
        placed = version.version in places and not version.source.startswith("models:/")
        facts[f"version {version.version}"] = {
            "creation_time_ms": version.creation_time_ms,
            "stage": version.stage,
            "description": version.description,
            "run_id": version.run_id,
            "run_link": version.run_link,
            "model_id": version.model_id,
            "user_id": version.user_id,
            "source": places[version.version][0] if placed else version.source,
            **{f"tags.{key}": value for key, value in version.tags.items()},
        }
    return facts


def _events(
    subject: str, model: SourceRegistered, held: SourceRegistered | None, places: Mapping[int, Place]
) -> Iterator[tuple[Event, int]]:
    """Events that add to a model what it lacks here, with their times. The first says that it should exist."""
    created = m.RegisteredModelCreated(model.name, model.description, dict(model.tags), if_absent=True)
    yield created, model.creation_time_ms
    there = {} if held is None else {version.version: version for version in held.versions}
    ids = {version.version: derived_id(subject, str(version.version)) for version in model.versions}
    lacks = held is None or any(x.version not in there for x in model.versions if x.stage != DELETED)
    for version in model.versions:
        if version.version in there:
            continue
        if version.stage == DELETED:
            # The number of the last one must not be given again; of others it is not, since a higher one is there.
            if lacks and version is model.versions[-1]:
                gone = m.ModelVersionCreated(ids[version.version], "", status=m.FAILED, version=version.version)
                yield gone, version.creation_time_ms
                yield m.ModelVersionDeleted(ids[version.version]), version.update_time_ms
            continue
        yield from _of_version(version, ids[version.version], places[version.version])
    if held is not None:
        lacking = {key: value for key, value in model.tags.items() if key not in held.tags}
        if lacking:
            yield m.RegisteredModelTagsSet(lacking), model.update_time_ms
    for alias, number in sorted(model.aliases.items()):
        if (held is None or alias not in held.aliases) and number in ids and number not in there:
            yield m.AliasSet(alias, ids[number]), model.update_time_ms


def _of_version(version: SourceVersion, version_id: str, place: Place) -> Iterator[tuple[Event, int]]:
    location, files = place
    created = m.ModelVersionCreated(
        version_id,
        source=version.source if version.source.startswith("models:/") else location,
        storage_location=location,
        run_id=version.run_id,
        run_link=version.run_link,
        model_id=version.model_id,
        description=version.description,
        tags=dict(version.tags),
        user_id=version.user_id,
        status=m.READY if version.status == m.READY else m.PENDING,
        version=version.version,
    )
    if files and created.status == m.READY:
        digest = digest_of_files((path, sha256) for path, (sha256, _) in files.items())
        size = sum(one for _, one in files.values())
        created = with_fields(created, digest=digest, files=len(files), file_bytes=size)
    yield created, version.creation_time_ms
    if version.status == m.FAILED:
        yield m.ModelVersionFinalized(version_id, m.FAILED, message=version.status_message), version.update_time_ms
    if version.stage != "None":
        comment = "as it was where it was imported from"
        yield m.StageTransitioned(version_id, version.stage, comment=comment), version.update_time_ms
