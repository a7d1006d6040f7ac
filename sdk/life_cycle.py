"""What happens to runs after their training: forked, moved, renamed, put in the bin; and the history of it all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from headrace.sdk.reader import Reader, reader, run_of
from headrace.sdk.run import Run

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["run", "experiment", "logged_model", "registered_model", "model_version", "endpoint", "saved_view"]
_MLFLOW = "/api/2.0/mlflow/runs"
_OURS = "/api/headrace/v1"
_HISTORY_PAGE = 1_000


def fork_run(
    run_id: str,
    step: int,
    run_name: str = "",
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    experiment_id: str = "",
) -> Run:
    """A new run that goes on from another one behind a step, with its params, tags and points up to there.

    Its points up to and with `step` are the source's, not copies. params and tags: over the source's. Log to it with
    `start_run(run_id=fork.info.run_id)`. Raises ReadFailed when there is no such run.
    """
    body = {
        "run_id": run_id,
        "step": step,
        "name": run_name,
        "params": {key: str(value) for key, value in (params or {}).items()},
        "tags": {key: str(value) for key, value in (tags or {}).items()},
        "experiment_id": experiment_id,
    }
    return run_of(reader().call("POST", f"{_OURS}/runs/fork", json=body)["run"])


def move_runs(run_ids: Sequence[str], experiment_id: str) -> list[str]:
    """Move runs to another experiment, all or none; the ids of those that were elsewhere. Raises ReadFailed."""
    body = {"run_ids": list(run_ids), "experiment_id": experiment_id}
    moved: list[str] = reader().call("POST", f"{_OURS}/runs/move", json=body)["moved"]
    return moved


def rename_run(run_id: str, run_name: str) -> None:
    """Give a run another name. Raises ReadFailed."""
    reader().call("POST", f"{_MLFLOW}/update", json={"run_id": run_id, "run_name": run_name})


def describe_run(run_id: str, description: str) -> None:
    """Write a run's note, as Markdown, in place of the one it has. Raises ReadFailed."""
    body = {"run_id": run_id, "key": "mlflow.note.content", "value": description}
    reader().call("POST", f"{_MLFLOW}/set-tag", json=body)


def delete_run(run_id: str) -> None:
    """Put a run in the bin; nothing is erased. Raises ReadFailed."""
    reader().call("POST", f"{_MLFLOW}/delete", json={"run_id": run_id})


def restore_run(run_id: str) -> None:
    """Take a run out of the bin. Raises ReadFailed."""
    reader().call("POST", f"{_MLFLOW}/restore", json={"run_id": run_id})


def get_history(kind: Kind, id: str) -> pd.DataFrame:
    """Each change of a run, experiment, model or endpoint, oldest first: a row for each field that an event changed.

    id: of a registered model its name, also one that it had before, or its id in the log; of a version "NAME/NUMBER".
    Columns: time (when the log took it, UTC), type, actor, source (the client), outcome, reason, field, from, to,
    position (which `as_of` takes), comment. One that changed nothing has one row without a field. Raises ReadFailed.
    """
    import pandas as pd

    columns = ("time", "type", "actor", "source", "outcome", "reason", "field", "from", "to", "position", "comment")
    rows = [
        (
            *(pd.Timestamp(entry["logged_ms"], unit="ms", tz="UTC"), entry["type"]),
            *(entry["actor"], entry["source"], entry["outcome"], entry["reason"]),
            *(change["field"], change["from"], change["to"], entry["position"], entry.get("comment", "")),
        )
        for entry in entries(reader(), kind, id)
        for change in entry["changes"] or [{"field": None, "from": None, "to": None}]
    ]
    return pd.DataFrame(rows, columns=list(columns))


def entries(source: Reader, kind: str, id: str) -> Iterator[dict[str, Any]]:
    """The history of an object as the server tells it, page by page."""
    token = ""
    while True:
        asked = {"kind": kind, "id": id, "max_results": _HISTORY_PAGE, "page_token": token}
        answer = source.call("GET", f"{_OURS}/history", params=asked)
        yield from answer["entries"]
        token = answer.get("next_page_token", "")
        if not token:
            return
