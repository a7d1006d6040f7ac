"""Experiments: create, get, search, rename, delete, restore, tags."""

from __future__ import annotations

from typing import Any, cast

from fastapi import APIRouter
from headrace.api import search
from headrace.api.errors import invalid, missing
from headrace.api.filter import parse, parse_order_by
from headrace.api.mlflow import entities, validate
from headrace.api.mlflow.wire import Body, Tag, add, page_start, present, required
from headrace.api.services import Services
from headrace.api.syntax import at_moment
from headrace.api.tracking import experiment_of
from headrace.ingest import events, limits
from headrace.processors.registry import ACTIVE, DELETED

router = APIRouter(tags=["experiments"])
PAGE_MAX = 50_000
VIEWS = ("ACTIVE_ONLY", "DELETED_ONLY", "ALL")


class CreateExperiment(Body):
    """name: unique, also among deleted experiments."""

    name: str = ""
    artifact_location: str = ""
    tags: list[Tag] = []


class ExperimentId(Body):
    experiment_id: str = ""


class GetExperiment(ExperimentId):
    """as_of: a time or positions of the log; now if empty."""

    as_of: str = ""


class ExperimentName(Body):
    """as_of: a time or positions of the log; now if empty."""

    experiment_name: str = ""
    as_of: str = ""


class UpdateExperiment(Body):
    experiment_id: str = ""
    new_name: str | None = None


class SearchExperiments(Body):
    """max_results: 1 to 50,000. view_type: ACTIVE_ONLY, DELETED_ONLY or ALL. as_of: as in GetExperiment."""

    max_results: int = 1000
    page_token: str = ""
    filter: str = ""
    order_by: list[str] = []
    view_type: str = "ACTIVE_ONLY"
    as_of: str = ""


class SetExperimentTag(Body):
    experiment_id: str = ""
    key: str = ""
    value: str = ""


class DeleteExperimentTag(Body):
    experiment_id: str = ""
    key: str = ""


async def create(s: Services, asked: CreateExperiment) -> dict[str, str]:
    """Create an experiment with a name nobody uses."""
    name = validate.check_experiment_name(asked.name)
    if asked.artifact_location:
        _check_location(asked.artifact_location)
    tags = {validate.check_key(t.key, "tag", f"tags[{i}].key"): _tag_value(t.value) for i, t in enumerate(asked.tags)}
    return {"experiment_id": await s.tracking.create_experiment(name, asked.artifact_location, tags)}


async def get(s: Services, asked: GetExperiment) -> dict[str, Any]:
    """An experiment by its id, deleted ones too."""
    experiment_id = required(asked.experiment_id, "experiment_id")
    if not experiment_id.isdecimal():
        raise invalid(f"Invalid experiment ID '{experiment_id}'. Experiment ID must be a valid integer.")
    return {"experiment": entities.experiment(experiment_of(await s.past.registry(asked.as_of), experiment_id))}


async def get_by_name(s: Services, asked: ExperimentName) -> dict[str, Any]:
    """An experiment by its name, deleted ones too."""
    name = required(asked.experiment_name, "experiment_name")
    registry = await s.past.registry(asked.as_of)
    found = registry.by_name.get(name)
    if found is None:
        raise missing(f"Could not find experiment with name '{name}'")
    return {"experiment": entities.experiment(found)}


async def search_experiments(s: Services, asked: SearchExperiments) -> dict[str, Any]:
    """Experiments by filter, in order, a page at a time."""
    validate.check_page(asked.max_results, PAGE_MAX)
    view = check_view(asked.view_type)
    expression = parse(asked.filter, "experiments")
    if expression is not None:
        expression = at_moment(expression, s.clock.time_ms())
    order = parse_order_by(asked.order_by, "experiments")
    start = page_start(asked.page_token)
    found = [
        x
        for x in list((await s.past.registry(asked.as_of)).experiments.values())
        if (view == "ALL" or (x.lifecycle == DELETED) == (view == "DELETED_ONLY"))
        and search.experiments_match(expression, x)
    ]
    ordered = search.sort_experiments(order, found)
    end = start + asked.max_results
    return present(
        experiments=[entities.experiment(x) for x in ordered[start:end]],
        next_page_token=search.encode_page_token(end) if end < len(ordered) else None,
    )


async def update(s: Services, asked: UpdateExperiment) -> dict[str, Any]:
    """Rename an experiment."""
    experiment_id = required(asked.experiment_id, "experiment_id")
    await s.tracking.active_experiment(experiment_id)
    name = validate.check_experiment_name(required(asked.new_name, "new_name"))
    await s.tracking.change_experiment(experiment_id, events.ExperimentRenamed(name))
    return {}


async def delete(s: Services, asked: ExperimentId) -> dict[str, Any]:
    """Put an experiment and its runs in the bin."""
    experiment_id = required(asked.experiment_id, "experiment_id")
    if experiment_id == limits.DEFAULT_EXPERIMENT_ID:
        raise invalid("The default experiment cannot be deleted: clients that name no experiment log to it")
    await _in_state(s, experiment_id, ACTIVE)
    await s.tracking.change_experiment(experiment_id, events.ExperimentDeleted())
    return {}


async def restore(s: Services, asked: ExperimentId) -> dict[str, Any]:
    """Take an experiment and its runs out of the bin."""
    experiment_id = required(asked.experiment_id, "experiment_id")
    await _in_state(s, experiment_id, DELETED)
    await s.tracking.change_experiment(experiment_id, events.ExperimentRestored())
    return {}


async def set_tag(s: Services, asked: SetExperimentTag) -> dict[str, Any]:
    """Set a tag of an experiment."""
    experiment_id = required(asked.experiment_id, "experiment_id")
    key = validate.check_key(asked.key, "tag", "key")
    await s.tracking.active_experiment(experiment_id)
    await s.tracking.change_experiment(experiment_id, events.ExperimentTagsSet({key: _tag_value(asked.value)}))
    return {}


async def delete_tag(s: Services, asked: DeleteExperimentTag) -> dict[str, Any]:
    """Take a tag of an experiment away."""
    experiment_id = required(asked.experiment_id, "experiment_id")
    key = required(asked.key, "key")
    found = await s.tracking.active_experiment(experiment_id)
    if key not in found.tags:
        raise missing(f"No tag with name: {key} in experiment with id {experiment_id}")
    await s.tracking.change_experiment(experiment_id, events.ExperimentTagsDeleted([key]))
    return {}


async def _in_state(s: Services, experiment_id: str, lifecycle: str) -> None:
    """An experiment that is not in this state is, to MLflow's clients, not there."""
    found = await s.tracking.experiment(experiment_id)
    if found.lifecycle != lifecycle:
        raise missing(f"No Experiment with id={experiment_id} exists in the {lifecycle} state")


def check_view(view: str) -> search.View:
    """A view type, by MLflow's name."""
    if view not in VIEWS:
        raise invalid(
            f"Invalid value \"{view}\" for parameter 'view_type' supplied: expected one of {', '.join(VIEWS)}"
        )
    return cast(search.View, view)


def _tag_value(value: str) -> str:
    if len(value) > limits.EXPERIMENT_TAG_VALUE_CHARS_MAX:
        raise invalid(f"'value' exceeds the maximum length of {limits.EXPERIMENT_TAG_VALUE_CHARS_MAX} characters")
    return value


def _check_location(location: str) -> None:
    if any(part == ".." for part in location.replace("\\", "/").split("/")) or "#" in location or "?" in location:
        raise invalid(
            f"Invalid value \"{location}\" for parameter 'artifact_location' supplied: it is no plain location"
        )


add(router, "POST", "/experiments/create", CreateExperiment, create, "Create an experiment")
add(router, "GET", "/experiments/get", GetExperiment, get, "Get an experiment")
add(router, "GET", "/experiments/get-by-name", ExperimentName, get_by_name, "Get an experiment by name")
add(router, "POST", "/experiments/search", SearchExperiments, search_experiments, "Search experiments")
add(router, "GET", "/experiments/search", SearchExperiments, search_experiments, "Search experiments")
add(router, "POST", "/experiments/update", UpdateExperiment, update, "Rename an experiment")
add(router, "POST", "/experiments/delete", ExperimentId, delete, "Delete an experiment")
add(router, "POST", "/experiments/restore", ExperimentId, restore, "Restore an experiment")
add(router, "POST", "/experiments/set-experiment-tag", SetExperimentTag, set_tag, "Set an experiment's tag")
add(router, "POST", "/experiments/delete-experiment-tag", DeleteExperimentTag, delete_tag, "Delete an experiment's tag")
