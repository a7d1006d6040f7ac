"""Compares runs: params, metrics, code, environment, data sets; only what differs, unless all is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Request, Response
from headrace.api.chosen_runs import ChosenRuns, chosen, runs_and_metrics
from headrace.api.compare_rows import Row, Runs, Section, rows
from headrace.api.errors import invalid
from headrace.api.packages import packages
from headrace.api.services import Services, services
from headrace.api.structs import decoded, documented, schemas
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["compare"])

SECTIONS: Final[tuple[Section, ...]] = (
    "attributes", "params", "metrics", "code", "environment", "packages", "datasets", "tags",
)  # fmt: skip
VALUES_MAX: Final = 1_000_000
BYTES_MAX: Final = 50_000_000
PACKAGES_RUNS_MAX: Final = 50
_READS_AT_ONCE = 8


class CompareRequest(ChosenRuns, frozen=True, kw_only=True):
    """Which runs; and of them only_differences, or all. sections: these alone, in this order; none for all.

    packages: whether the packages are read that were installed where the runs were trained; null: of up to 50 runs.
    """

    only_differences: bool = True
    sections: Annotated[list[Section], msgspec.Meta(max_length=8)] = []
    packages: bool | None = None


class ComparedRun(msgspec.Struct, frozen=True):
    """A column of the comparison."""

    run_id: str
    run_name: str
    experiment_id: str


class Comparison(msgspec.Struct, frozen=True):
    """Rows with a value for each of the runs, in their order. missing: ids of no run. equal: how many rows were left
    out because all runs have the same."""

    runs: list[ComparedRun]
    missing: list[str]
    rows: list[Row]
    equal: int


_decoder = msgspec.json.Decoder(CompareRequest)


@router.post(
    "/api/headrace/v1/compare",
    summary="What differs between runs: params, metrics, code, environment, packages, data sets, tags",
    openapi_extra=documented(*schemas(CompareRequest, Comparison)),
)
async def post_compare(request: Request) -> Response:
    """One row a fact, one value a run."""
    asked = decoded(_decoder, await request.body(), "compare")
    s = services(request)
    if len(set(asked.run_ids)) == 1:
        raise invalid("Invalid compare request: name two runs at least")
    cut = await s.past.cut(asked.as_of)
    run_ids = await chosen(s, asked, cut)
    runs = await runs_and_metrics(s, run_ids, cut)
    sections = tuple(dict.fromkeys(asked.sections)) or SECTIONS
    installed = await _packages(s, runs, asked.packages, sections)
    body = await run_in_threadpool(compared, run_ids, runs, installed, sections, asked.only_differences)
    return Response(body, media_type="application/json")


async def _packages(
    s: Services, runs: Runs, wanted: bool | None, sections: Sequence[Section]
) -> Sequence[Mapping[str, str]]:
    """Of each run; empty ones where they are not asked for. Raises INVALID_PARAMETER_VALUE for too many runs."""
    if wanted and len(runs) > PACKAGES_RUNS_MAX:
        raise invalid(f"Packages are compared of {PACKAGES_RUNS_MAX} runs at most, and these are {len(runs)}")
    if wanted is False or "packages" not in sections or len(runs) > PACKAGES_RUNS_MAX:
        return [{} for _ in runs]
    turns = asyncio.Semaphore(_READS_AT_ONCE)

    async def read(run: int) -> dict[str, str]:
        async with turns:
            return await packages(s, runs[run][0])

    return await asyncio.gather(*map(read, range(len(runs))))


def compared(
    run_ids: Sequence[str],
    runs: Runs,
    installed: Sequence[Mapping[str, str]],
    sections: Sequence[Section],
    only_differences: bool,
) -> bytes:
    """The answer in JSON. run_ids: as they were asked for. Raises INVALID_PARAMETER_VALUE for one too large."""
    found: list[Row] = []
    equal = held = size = 0
    for row in rows(runs, installed, sections):
        if only_differences and not row.differs:
            equal += 1
            continue
        found.append(row)
        held += len(row.values)
        size += sum(len(value) for value in row.values if isinstance(value, str))
        if held > VALUES_MAX or size > BYTES_MAX:
            raise invalid(
                f"The comparison would have more than {VALUES_MAX:,} values, or {BYTES_MAX // 1_000_000} MB of text:"
                " compare fewer runs, fewer sections, or only what differs"
            )
    there = {state.run_id for state, _ in runs}
    columns = [ComparedRun(state.run_id, state.name, state.experiment_id) for state, _ in runs]
    missing = [run_id for run_id in run_ids if run_id not in there]
    return msgspec.json.encode(Comparison(columns, missing, found, equal))
