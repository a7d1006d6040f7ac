"""The fold of registered models: who has which name, and to which model an event belongs. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.ingest import model_events as m
from headrace.ingest.event import Event
from headrace.ingest.model_names import model_name_fault, stages_fault
from headrace.processors import model_fold, version_fold
from headrace.processors.model_fold import Told
from headrace.processors.registered_models import ACTIVE, DELETED, RegisteredModel, Stages

OF_MODELS = tuple(m.TYPES.values())
"""The classes of the events of registered models."""


class Models:
    """All registered models. One thread folds; any thread may read.

    by_id: deleted ones too. by_name: those that are there. stages: what versions can be in. pending: the versions whose
    files are still to be looked at, as (registered_model_id, version_id), oldest first.
    """

    def __init__(self) -> None:
        self.by_id: dict[str, RegisteredModel] = {}
        self.by_name: dict[str, RegisteredModel] = {}
        self.stages = Stages()
        self.pending: dict[tuple[str, str], None] = {}
        self._joined: dict[str, str] = {}
        self._subjects: dict[str, list[str]] = {}

    def of_subject(self, subject: str) -> RegisteredModel | None:
        """The model that events of a subject are about, deleted ones too: who asked for a name that was taken already
        has another subject than the model has an id."""
        return self.by_id.get(self._joined.get(subject, subject))

    def subjects(self, registered_model_id: str) -> list[str]:
        """All subjects whose events are about a model, its own id first."""
        return [registered_model_id, *self._subjects.get(registered_model_id, [])]

    def fold(self, subject: str, told: Told, event: Event) -> str | None:
        """Change the state, or say why the event is refused."""
        if isinstance(event, m.StagesSet):
            return self._set_stages(event)
        if isinstance(event, m.RegisteredModelCreated):
            return self._create(subject, told, event)
        before = self.of_subject(subject)
        if before is None:
            return f"Registered Model with id={subject} not found"
        if before.lifecycle == DELETED:
            return f"Registered Model with name={before.name} not found: it was deleted"
        if isinstance(event, m.RegisteredModelRenamed):
            if self.by_name.get(event.name, before) is not before:
                return _taken(event.name)
            if (fault := model_name_fault(event.name)) is not None:
                return f"Invalid model name '{event.name}': {fault}"
        folding = version_fold if isinstance(event, version_fold.OF_VERSIONS) else model_fold
        after = folding.fold(before, told, event, self.stages)
        if isinstance(after, str):
            return after
        self._put(before, after)
        self._follow_pending(after, event)
        return None

    def erase(self, registered_model_id: str, subjects: Sequence[str]) -> str | None:
        """Forget a deleted model, or say why it is not forgotten; one that was taken out of the log is not there."""
        held = self.by_id.get(registered_model_id)
        if held is not None and held.lifecycle != DELETED:
            return f"the registered model {held.name} is not deleted"
        self.by_id.pop(registered_model_id, None)
        self._subjects.pop(registered_model_id, None)
        for subject in subjects:
            self._joined.pop(subject, None)
        return None

    def _create(self, subject: str, told: Told, event: m.RegisteredModelCreated) -> str | None:
        known = self.of_subject(subject)
        if known is not None:
            there = event.if_absent and known.lifecycle == ACTIVE
            return None if there else f"the id {subject} is taken by the registered model {known.name}"
        holder = self.by_name.get(event.name)
        if holder is not None:
            if not event.if_absent:
                return _taken(event.name)
            self._joined[subject] = holder.registered_model_id
            self._subjects.setdefault(holder.registered_model_id, []).append(subject)
            return None
        fault = model_name_fault(event.name)
        if fault is not None:
            return f"Invalid model name '{event.name}': {fault}"
        made = RegisteredModel(
            subject, event.name, told.time_ms, told.time_ms, event.description, told.actor, ACTIVE, event.tags
        )
        self._put(None, made)
        return None

    def _set_stages(self, event: m.StagesSet) -> str | None:
        fault = stages_fault(event.stages)
        if fault is not None:
            return fault
        stages = Stages(tuple(event.stages))
        for model in self.by_name.values():
            for version in model.live_versions():
                if version.stage not in stages.all:
                    return (
                        f"version {version.version} of {model.name} is in the stage {version.stage}, which would be no"
                        " stage any more; move it first"
                    )
        self.stages = stages
        return None

    def _follow_pending(self, model: RegisteredModel, event: Event) -> None:
        match event:
            case m.ModelVersionCreated(version_id=version_id, status=m.PENDING):
                self.pending[model.registered_model_id, version_id] = None
            case m.ModelVersionFinalized(version_id=version_id) | m.ModelVersionDeleted(version_id=version_id):
                self.pending.pop((model.registered_model_id, version_id), None)
            case m.RegisteredModelDeleted():
                for version_id in model.numbers:
                    self.pending.pop((model.registered_model_id, version_id), None)

    def _put(self, before: RegisteredModel | None, after: RegisteredModel) -> None:
        if before is not None and (before.name != after.name or after.lifecycle == DELETED):
            del self.by_name[before.name]
        self.by_id[after.registered_model_id] = after
        if after.lifecycle == ACTIVE:
            self.by_name[after.name] = after


def _taken(name: str) -> str:
    return f"Registered Model (name={name}) already exists."
