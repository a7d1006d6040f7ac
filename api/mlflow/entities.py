"""Our states as MLflow's JSON entities."""

from __future__ import annotations

from typing import Any

from headrace.api.mlflow.wire import number, pairs, present
from headrace.ingest import events as e
from headrace.processors.metrics import Summary
from headrace.processors.registry import Experiment, LoggedModel
from headrace.processors.runs import RunState


def experiment(state: Experiment) -> dict[str, Any]:
    """MLflow's Experiment."""
    return present(
        experiment_id=state.experiment_id,
        name=state.name,
        artifact_location=state.artifact_location,
        lifecycle_stage=state.lifecycle,
        creation_time=state.creation_time_ms,
        last_update_time=state.last_update_time_ms,
        tags=pairs(state.tags),
    )


def run_info(state: RunState) -> dict[str, Any]:
    """MLflow's RunInfo."""
    return present(
        run_uuid=state.run_id,
        run_id=state.run_id,
        run_name=state.name,
        experiment_id=state.experiment_id,
        user_id=state.user_id,
        status=state.status,
        start_time=state.start_time_ms,
        end_time=state.end_time_ms or None,
        artifact_uri=state.artifact_uri,
        lifecycle_stage=state.lifecycle,
    )


def run(state: RunState, summaries: dict[str, Summary]) -> dict[str, Any]:
    """MLflow's Run."""
    metrics = [latest(key, summaries[key]) for key in sorted(summaries)]
    return {
        "info": run_info(state),
        "data": present(metrics=metrics, params=pairs(state.params), tags=pairs(run_tags(state))),
        "inputs": inputs(state.inputs),
        "outputs": outputs(state.outputs),
    }


def run_tags(state: RunState) -> dict[str, str]:
    """A run's tags, and why it ended where a person would ask."""
    return {**state.tags, "headrace.status_reason": state.status_reason} if state.status_reason else state.tags


def latest(key: str, summary: Summary) -> dict[str, Any]:
    """MLflow's Metric: the latest value of a key."""
    return present(
        key=key,
        value=number(summary.last_value),
        timestamp=summary.last_timestamp_ms,
        step=summary.last_step,
        dataset_name=summary.dataset_name or None,
        dataset_digest=summary.dataset_digest or None,
        model_id=summary.model_id or None,
    )


def inputs(state: e.InputsLogged) -> dict[str, Any]:
    """MLflow's RunInputs."""
    return present(
        dataset_inputs=[
            present(
                tags=pairs(item.tags),
                dataset=present(
                    name=item.dataset.name,
                    digest=item.dataset.digest,
                    source_type=item.dataset.source_type,
                    source=item.dataset.source,
                    schema=item.dataset.schema or None,
                    profile=item.dataset.profile or None,
                ),
            )
            for item in state.datasets
        ],
        model_inputs=[{"model_id": item.model_id} for item in state.models],
    )


def outputs(state: e.OutputsLogged) -> dict[str, Any]:
    """MLflow's RunOutputs."""
    return present(model_outputs=[{"model_id": item.model_id, "step": item.step} for item in state.models])


def logged_model(state: LoggedModel, metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """MLflow's LoggedModel."""
    return {
        "info": present(
            model_id=state.model_id,
            experiment_id=state.experiment_id,
            name=state.name,
            creation_timestamp_ms=state.creation_time_ms,
            last_updated_timestamp_ms=state.last_update_time_ms,
            artifact_uri=state.artifact_uri,
            status=state.status,
            model_type=state.model_type,
            source_run_id=state.source_run_id or None,
            tags=pairs(state.tags),
        ),
        "data": present(params=pairs(state.params), metrics=metrics),
    }
