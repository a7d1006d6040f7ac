"""Series for charts: chosen metrics of chosen runs, point by point, in buckets, or of groups of runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Final

import msgspec
import pyarrow as pa
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from headrace.api import series_answers as answers
from headrace.api.arrow_stream import ARROW_STREAM, stream
from headrace.api.chosen_runs import ChosenRuns, chosen, states
from headrace.api.errors import invalid
from headrace.api.points import Points
from headrace.api.series_buckets import Buckets, Frames, bucketed, holds, own_frames, read_bucketed
from headrace.api.series_groups import Aggregate, Band, Group, GroupSeries, aggregated, group_frames, grouped
from headrace.api.series_points import (
    POINTS_MAX,
    Axis,
    Extents,
    Placed,
    Wanted,
    extents,
    read,
    read_extents,
    told_extents,
)
from headrace.api.services import services
from headrace.api.structs import decoded, documented, schemas
from headrace.api.turns import turn
from headrace.ingest.limits import INT64_MAX, INT64_MIN
from headrace.processors.views import Views
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["series"])

SERIES_MAX: Final = 2000
BUCKETS_MAX: Final = 500_000
RAW_JSON_MAX: Final = 200_000
_NARROW = "ask for a range, for fewer runs or keys"


class SeriesRequest(ChosenRuns, frozen=True, kw_only=True):
    """Which metrics of which runs, and how fine.

    keys: the metrics; or one, as key. x: step, time (ms since the epoch, UTC) or relative (ms since the run's start).
    range: the lowest and highest x that take part, both included; null for all.
    buckets: a run with at most so many points in the range comes point by point. raw: every point, no buckets.
    group_by: runs that have the same of all these are one group: params.KEY, tags.KEY, an attribute; an empty list for
    one group of all. aggregate: of the runs' values. band: min-max, std or two percentiles; null for none.
    traces: each run's own series too. format: json, arrow, or empty for what the header Accept says.
    """

    key: str = ""
    keys: Annotated[list[str], msgspec.Meta(max_length=50)] = []
    x: Axis = "step"
    range: tuple[float, float] | None = None
    buckets: Annotated[int, msgspec.Meta(ge=2, le=2000)] = 500
    raw: bool = False
    group_by: Annotated[list[str], msgspec.Meta(max_length=20)] | None = None
    aggregate: Aggregate = "mean"
    band: Band = "min-max"
    traces: bool = False
    format: Annotated[str, msgspec.Meta(pattern="^(|json|arrow)$")] = ""


_decoder = msgspec.json.Decoder(SeriesRequest)


@router.post(
    "/api/headrace/v1/series",
    summary="Metrics of many runs in buckets that keep their first, last, min and max; or of groups of runs",
    openapi_extra=documented(
        schemas(SeriesRequest)[0], *schemas(answers.SeriesResponse, answers.RawResponse), media=[ARROW_STREAM]
    ),
)
async def post_series(request: Request) -> Response:
    """Series of what was logged before. JSON, or an Arrow IPC stream of one row a bucket or point."""
    asked = decoded(_decoder, await request.body(), "series")
    arrow = asked.format == "arrow" or (not asked.format and ARROW_STREAM in request.headers.get("accept", ""))
    keys = _checked(asked, arrow)
    s = services(request)
    cut = await s.past.cut(asked.as_of)
    run_ids = await chosen(s, asked, cut)
    count = len(run_ids) * len(keys)
    if count > SERIES_MAX:
        raise invalid(
            f"{len(run_ids):,} runs with {len(keys):,} keys are {count:,} series, and one request has {SERIES_MAX:,} at"
            " most: ask for fewer runs or keys"
        )
    if cut is None:
        await s.tracking.caught_up()
    groups = None if asked.group_by is None else grouped(run_ids, await states(s, run_ids, cut), asked.group_by)
    links = await run_in_threadpool(s.forks.links, run_ids)
    wanted = Wanted(Points(run_ids, keys, cut, links), asked.x, _bounds(asked.range))
    async with turn(request, s.settings.read_wait_s):
        found = await run_in_threadpool(_answer, s.views, asked, wanted, groups, arrow)
    if isinstance(found, bytes):
        return Response(found, media_type="application/json")
    return StreamingResponse(stream(found), media_type=ARROW_STREAM)


def _checked(asked: SeriesRequest, arrow: bool) -> list[str]:
    """The keys of a request whose parts fit together. Raises INVALID_PARAMETER_VALUE."""
    keys = list(dict.fromkeys(asked.keys))
    fault = ""
    if keys and asked.key:
        fault = "name the metrics by keys, or one by key, not by both"
    elif not keys and not asked.key:
        fault = "name the metrics by keys"
    elif asked.range is not None and not asked.range[0] <= asked.range[1]:
        fault = f"range must rise, and {list(asked.range)} does not"
    elif isinstance(asked.band, tuple) and not 0 <= asked.band[0] <= asked.band[1] <= 100:
        fault = f"a band of percentiles rises between 0 and 100, and {list(asked.band)} does not"
    elif asked.raw and asked.group_by is not None:
        fault = "groups have buckets: leave raw or group_by out"
    elif arrow and asked.group_by is not None and asked.traces:
        fault = "an Arrow stream has groups or traces: ask for the traces without group_by, or for JSON"
    if fault:
        raise invalid(f"Invalid series request: {fault}")
    return keys or [asked.key]


def _bounds(given: tuple[float, float] | None) -> tuple[int, int] | None:
    return None if given is None else (_int64(given[0], math.ceil), _int64(given[1], math.floor))


def _int64(value: float, rounded: Callable[[float], int]) -> int:
    if math.isinf(value):
        return INT64_MAX if value > 0 else INT64_MIN
    return max(INT64_MIN, min(INT64_MAX, rounded(value)))


# --- what is asked of the views; each blocks on I/O -------------------------------------------------------------------


def _answer(
    views: Views, asked: SeriesRequest, wanted: Wanted, groups: Sequence[Group] | None, arrow: bool
) -> bytes | pa.Table:
    """The body: JSON, or a table to stream."""
    source = Source(views, wanted)
    if asked.raw:
        placed = source.points(POINTS_MAX if arrow else RAW_JSON_MAX)
        return answers.raw_table(wanted, placed) if arrow else answers.raw_json(wanted, placed)
    series = source.buckets(asked.buckets) if groups is None or asked.traces else None
    if groups is None:
        assert series is not None
        return (
            answers.table(wanted, series) if arrow else answers.as_json(wanted, series, source.extents, asked.buckets)
        )
    combined = source.groups(groups, asked.buckets, asked.aggregate, asked.band)
    if arrow:
        return answers.group_table(combined, asked.band is not None)
    return answers.as_json(wanted, series, source.extents, asked.buckets, (combined, asked.band is not None))


class Source:
    """The points of one request: read once where they fit into memory, else put in buckets by the engine.

    Where summaries tell that they do not fit, the engine makes the buckets at once, in frames as the summaries tell
    them, and the buckets tell whether these were right: so points are read once.
    """

    def __init__(self, views: Views, wanted: Wanted, points_max: int = POINTS_MAX) -> None:
        """points_max: so many are held at most. Raises ViewsUnavailable."""
        self._views = views
        self._wanted = wanted
        self._points_max = points_max
        self._placed: Placed | None = None
        told = told_extents(views, wanted)
        large = told is not None and int(told.points.sum()) > points_max
        self._sure = True
        if told is not None and large and wanted.range is None and wanted.axis != "relative":
            self._sure = False
            self.extents: Extents = told
            return
        if large:
            self.extents = read_extents(views, wanted)
            if int(self.extents.points.sum()) > points_max:
                return
        self._placed = read(views, wanted, points_max)
        self.extents = read_extents(views, wanted) if self._placed is None else extents(self._placed)

    def points(self, most: int) -> Placed:
        """Every point. Raises INVALID_PARAMETER_VALUE for more than most."""
        self._make_sure()
        if self._placed is None and int(self.extents.points.sum()) <= self._points_max:
            self._placed = read(self._views, self._wanted, self._points_max)
        if self._placed is None or len(self._placed) > most:
            raise invalid(
                f"The series have {int(self.extents.points.sum()):,} points, and {most:,} can be answered one by one:"
                f" {_NARROW}, or for buckets in place of raw" + (", or for Arrow" if most < POINTS_MAX else "")
            )
        return self._placed

    def buckets(self, cells: int) -> Buckets:
        """Each series in buckets of its own."""
        found = self._cut(own_frames(self.extents, cells))
        if found is None:
            self._make_sure()
            found = self._cut(own_frames(self.extents, cells))
        assert found is not None
        self._sure = True
        return found

    def groups(self, groups: Sequence[Group], cells: int, aggregate: Aggregate, band: Band) -> list[GroupSeries]:
        """Each key of each group, in buckets that its runs share."""
        keys = self._wanted.keys
        frames, owner = group_frames(self.extents, groups, len(keys), cells)
        found = self._cut(frames)
        if found is None:
            self._make_sure()
            frames, owner = group_frames(self.extents, groups, len(keys), cells)
            found = self._cut(frames)
        assert found is not None
        return aggregated(found, frames, owner, groups, keys, aggregate, band)

    def _cut(self, frames: Frames) -> Buckets | None:
        """None where what the frames were made from turns out not to hold. Raises INVALID_PARAMETER_VALUE."""
        most = int(self.extents.points.clip(max=frames.cells).sum())
        if most > BUCKETS_MAX:
            if not self._sure:
                return None
            raise invalid(
                f"The series would have up to {most:,} buckets, and {BUCKETS_MAX:,} are the most: {_NARROW}, or for"
                " fewer buckets"
            )
        if self._placed is not None:
            return bucketed(self._placed, frames)
        found = read_bucketed(self._views, self._wanted, frames)
        return found if self._sure or holds(found, frames, self.extents) else None

    def _make_sure(self) -> None:
        """Read how far the series reach, where that has only been told."""
        if not self._sure:
            self.extents = read_extents(self._views, self._wanted)
            self._sure = True
