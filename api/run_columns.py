"""What columns a table of runs could have: metrics, params and tags, how many runs have each, and which values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Request, Response
from headrace.api.filter import parse
from headrace.api.finding import RunQuery, find
from headrace.api.run_table import RUNS_MAX, Runs
from headrace.api.services import services
from headrace.api.structs import decoded, documented, schemas
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["runs"])

COLUMNS_MAX: Final = 10_000
EXAMPLES_MAX: Final = 20
EXAMPLE_CHARS_MAX: Final = 100
_PAGE: Final = 2_000


class ColumnsRequest(msgspec.Struct, frozen=True):
    """Which runs, as in runs/search. max_runs: the columns are those of the newest so many of them."""

    experiment_ids: Annotated[list[str], msgspec.Meta(max_length=10_000)]
    filter: str = ""
    run_view_type: Literal["ACTIVE_ONLY", "DELETED_ONLY", "ALL"] = "ACTIVE_ONLY"
    max_runs: Annotated[int, msgspec.Meta(ge=1, le=RUNS_MAX)] = 10_000
    as_of: str = ""


class ColumnFound(msgspec.Struct, frozen=True):
    """runs: how many have it. differs: whether any two that have it differ. examples: of params and tags, some of the
    values, each once, cut where they are long."""

    name: str
    runs: int
    differs: bool
    examples: list[str]


class ColumnsAnswer(msgspec.Struct, frozen=True):
    """runs: how many match, up to 100,000. looked_at: of so many the columns are. more: there are more columns than are
    told. columns: metrics, then params, then tags, each by name."""

    runs: int
    looked_at: int
    more: bool
    columns: list[ColumnFound]


_decoder = msgspec.json.Decoder(ColumnsRequest)
_SCHEMA, _ANSWER = schemas(ColumnsRequest, ColumnsAnswer)


@router.post(
    "/api/headrace/v1/runs/columns",
    summary="The metrics, params and tags that runs have: the columns that a table of them could have",
    openapi_extra=documented(_SCHEMA, _ANSWER),
)
async def post_columns(request: Request) -> Response:
    """Names as runs/table takes them, with how many runs have each and examples of values."""
    asked = decoded(_decoder, await request.body(), "columns")
    s = services(request)
    query = RunQuery(asked.experiment_ids, asked.run_view_type, parse(asked.filter, "runs"), [])
    cut = await s.past.cut(asked.as_of)
    run_ids = await find(s, query, RUNS_MAX, 0, cut) if asked.experiment_ids else []
    seen = {kind: _Seen() for kind in ("metrics", "params", "tags")}
    newest = run_ids[: asked.max_runs]
    for start in range(0, len(newest), _PAGE):
        page = newest[start : start + _PAGE]
        runs = await (s.tracking.runs(page) if cut is None else run_in_threadpool(s.past.runs, cut, page))
        await run_in_threadpool(_look, seen, runs)
    columns = [found for kind, one in seen.items() for found in one.found(kind)]
    answer = ColumnsAnswer(len(run_ids), len(newest), len(columns) > COLUMNS_MAX, columns[:COLUMNS_MAX])
    return Response(msgspec.json.encode(answer), media_type="application/json")


@dataclass(slots=True)
class _Seen:
    """Keys of one kind so far: how many runs have each, and its first different values, one more than are told."""

    runs: dict[str, int] = field(default_factory=dict)
    values: dict[str, dict[Any, None]] = field(default_factory=dict)

    def take(self, of_runs: Iterable[Mapping[str, Any]]) -> None:
        """Look at runs: values by key."""
        runs, values = self.runs, self.values
        for of_run in of_runs:
            for key, value in of_run.items():
                runs[key] = runs.get(key, 0) + 1
                known = values.setdefault(key, {})
                if len(known) <= EXAMPLES_MAX:
                    known[value] = None

    def found(self, kind: str) -> list[ColumnFound]:
        """Each key as a column."""
        of_text = kind != "metrics"
        return [
            ColumnFound(
                f"{kind}.{key}",
                count,
                len(self.values[key]) > 1,
                sorted(x[:EXAMPLE_CHARS_MAX] for x in self.values[key])[:EXAMPLES_MAX] if of_text else [],
            )
            for key, count in sorted(self.runs.items())
        ]


def _look(seen: Mapping[str, _Seen], runs: Runs) -> None:
    seen["metrics"].take({key: one.last_value for key, one in found.items()} for _, found in runs)
    seen["params"].take(state.params for state, _ in runs)
    seen["tags"].take(state.tags for state, _ in runs)
