"""The fold of the registry topic: experiments, models, endpoints, saved views, in one total order. No I/O."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from headrace.ingest import events as e
from headrace.ingest.log import Record
from headrace.ingest.model_events import RegisteredModelErased
from headrace.processors import endpoints, saved_views
from headrace.processors.model_fold import Told
from headrace.processors.model_registry import OF_MODELS, Models
from headrace.processors.outcome import APPLIED, DUPLICATE, REFUSED, Outcome, sequence_outcome
from msgspec.structs import replace

ACTIVE, DELETED = "active", "deleted"


class Experiment(msgspec.Struct, frozen=True):
    """An experiment as its events made it. Times in ms since the epoch, UTC. Never changed in place."""

    experiment_id: str
    name: str
    artifact_location: str
    creation_time_ms: int
    last_update_time_ms: int
    lifecycle: str = ACTIVE
    tags: dict[str, str] = {}


class LoggedModel(msgspec.Struct, frozen=True):
    """A logged model as its events made it. Times in ms since the epoch, UTC. Never changed in place."""

    model_id: str
    experiment_id: str
    name: str
    artifact_uri: str
    creation_time_ms: int
    last_update_time_ms: int
    source_run_id: str = ""
    model_type: str = ""
    status: str = "LOGGED_MODEL_PENDING"
    lifecycle: str = ACTIVE
    params: dict[str, str] = {}
    tags: dict[str, str] = {}


class Erasure(NamedTuple):
    """That an experiment or logged model was erased: the offset of its tombstone, and when and by whom, for people."""

    offset: int
    told: str


class Registry:
    """All experiments, models, endpoints (by name), saved views (by id). One thread folds; any thread may read.

    erased: by id; an experiment of an id that is there may have begun anew since. models: the registered ones.
    """

    def __init__(self) -> None:
        self.erased: dict[str, Erasure] = {}
        self.experiments: dict[str, Experiment] = {}
        self.by_name: dict[str, Experiment] = {}
        self.logged_models: dict[str, LoggedModel] = {}
        self.endpoints: dict[str, endpoints.Endpoint] = {}
        self.saved_views = saved_views.SavedViews()
        self.models = Models()
        self._writers: dict[tuple[str, str], int] = {}

    def apply(self, record: Record, event: e.Event | None) -> Outcome:
        """Fold one record. event: its decoded data, None for an unknown type."""
        envelope = record.envelope
        missed = 0
        if envelope.writer:
            sender = (envelope.writer, envelope.subject)
            new, missed = sequence_outcome(self._writers.get(sender, 0), envelope.sequence)
            if not new:
                return Outcome(DUPLICATE)
            self._writers[sender] = envelope.sequence
        if isinstance(event, e.ExperimentErased | e.LoggedModelErased):
            refusal = self._erase(record, event)
        elif isinstance(event, RegisteredModelErased):
            refusal = self._erase_model(record, event)
        elif isinstance(event, OF_MODELS):
            refusal = self.models.fold(envelope.subject, Told(envelope.time_ms, envelope.actor), event)
        elif isinstance(event, saved_views.EVENTS):
            refusal = self.saved_views.fold(envelope.subject, Told(envelope.time_ms, envelope.actor), event)
        else:
            refusal = None if event is None else self._fold(envelope.subject, envelope.time_ms, event)
        return Outcome(APPLIED, "", missed) if refusal is None else Outcome(REFUSED, refusal, missed)

    def deleted_ids(self) -> list[str]:
        """Ids of the experiments in the bin."""
        return [x.experiment_id for x in list(self.experiments.values()) if x.lifecycle == DELETED]

    def _erase(self, record: Record, event: e.Event) -> str | None:
        """Forget what is in the bin, or was taken out of the log before."""
        envelope = record.envelope
        of_experiment = isinstance(event, e.ExperimentErased)
        held: Experiment | LoggedModel | None
        held = (self.experiments if of_experiment else self.logged_models).get(envelope.subject)
        if held is not None and held.lifecycle != DELETED:
            return f"{envelope.subject} is not in the bin"
        if isinstance(held, Experiment):
            del self.experiments[held.experiment_id], self.by_name[held.name]
        elif held is not None:
            del self.logged_models[held.model_id]
        self.erased[envelope.subject] = _erasure(record)
        return None

    def _erase_model(self, record: Record, event: RegisteredModelErased) -> str | None:
        """Forget a registered model that was deleted, or taken out of the log before."""
        refusal = self.models.erase(record.envelope.subject, event.subjects)
        if refusal is None:
            self.erased.update(dict.fromkeys((record.envelope.subject, *event.subjects), _erasure(record)))
        return refusal

    def _fold(self, experiment_id: str, time_ms: int, event: e.Event) -> str | None:
        """Change the state, or say why the event is refused."""
        if isinstance(event, e.RegistryRecordErased):
            return None
        if isinstance(event, e.ExperimentCreated):
            return self._create(experiment_id, time_ms, event)
        if isinstance(event, endpoints.EVENTS):
            return endpoints.fold(self.endpoints, experiment_id, time_ms, event)
        if isinstance(event, _OF_LOGGED_MODELS):
            return self._fold_logged_model(experiment_id, time_ms, event)
        before = self.experiments.get(experiment_id)
        if before is None:
            return f"No Experiment with id={experiment_id} exists"
        match event:
            case e.ExperimentRenamed():
                holder = self.by_name.get(event.name)
                if holder is not None and holder.experiment_id != experiment_id:
                    return _taken(event.name)
                after = replace(before, name=event.name)
            case e.ExperimentTagsSet():
                after = replace(before, tags={**before.tags, **event.tags})
            case e.ExperimentTagsDeleted():
                after = replace(before, tags={k: v for k, v in before.tags.items() if k not in event.keys})
            case e.ExperimentDeleted():
                after = replace(before, lifecycle=DELETED)
            case e.ExperimentRestored():
                after = replace(before, lifecycle=ACTIVE)
            case _:
                return None
        self._put(before, replace(after, last_update_time_ms=time_ms))
        return None

    def _create(self, experiment_id: str, time_ms: int, event: e.ExperimentCreated) -> str | None:
        if event.name in self.by_name:
            return None if event.if_absent else _taken(event.name)
        if experiment_id in self.experiments:
            # Its id was computed from a name the experiment no longer has. A trainer that only needs it to exist finds
            # it under its new name; a command has to choose another id.
            return None if event.if_absent else f"the id {experiment_id} is taken"
        location = event.artifact_location or f"mlflow-artifacts:/{experiment_id}"
        self._put(None, Experiment(experiment_id, event.name, location, time_ms, time_ms, ACTIVE, event.tags))
        return None

    def _fold_logged_model(self, model_id: str, time_ms: int, event: e.Event) -> str | None:
        before = self.logged_models.get(model_id)
        if isinstance(event, e.LoggedModelCreated):
            if before is not None:
                return f"the logged model {model_id} exists already"
            root = event.artifact_root.rstrip("/") or f"mlflow-artifacts:/{event.experiment_id}"
            self.logged_models[model_id] = LoggedModel(
                model_id,
                event.experiment_id,
                event.name,
                f"{root}/models/{model_id}/artifacts",
                time_ms,
                time_ms,
                event.source_run_id,
                event.model_type,
                event.status,
                ACTIVE,
                event.params,
                event.tags,
            )
            return None
        if before is None:
            return f"Logged model with ID '{model_id}' not found."
        match event:
            case e.LoggedModelFinalized():
                after = replace(before, status=event.status)
            case e.LoggedModelParamsLogged():
                after = replace(before, params={**event.params, **before.params})
            case e.LoggedModelTagsSet():
                after = replace(before, tags={**before.tags, **event.tags})
            case e.LoggedModelTagsDeleted():
                after = replace(before, tags={k: v for k, v in before.tags.items() if k not in event.keys})
            case _:
                after = replace(before, lifecycle=DELETED)
        self.logged_models[model_id] = replace(after, last_update_time_ms=time_ms)
        return None

    def _put(self, before: Experiment | None, after: Experiment) -> None:
        if before is not None and before.name != after.name:
            del self.by_name[before.name]
        self.experiments[after.experiment_id] = after
        self.by_name[after.name] = after


_OF_LOGGED_MODELS = (
    e.LoggedModelCreated,
    e.LoggedModelFinalized,
    e.LoggedModelParamsLogged,
    e.LoggedModelTagsSet,
    e.LoggedModelTagsDeleted,
    e.LoggedModelDeleted,
)


def _erasure(record: Record) -> Erasure:
    envelope = record.envelope
    when = datetime.fromtimestamp(envelope.time_ms / 1000, UTC).isoformat(" ", "seconds")
    by = f" by {envelope.actor}" if envelope.actor else ""
    return Erasure(record.position.offset, f"erased at {when}{by}")


def _taken(name: str) -> str:
    return f"Experiment(name={name}) already exists."
