"""What a run's process printed, a page at a time: its end first, then what came before, and what comes."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Query, Request, Response
from headrace.api.services import services
from headrace.api.structs import documented, schemas
from headrace.ingest.limits import INT64_MAX
from headrace.ingest.topics import RUNS
from headrace.processors.views import Views
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["runs"])

PIECES_MAX: Final = 1_000
CHARS_MAX: Final = 1_000_000
"""Of one answer; a single piece may be longer."""

# Ordered by how far from the page's near end; held is how much there is up to and with a piece, found how many
# pieces there are, up to one more than fit.
_SQL: Final = """
WITH pieces AS (
    SELECT offset, time_ms, JSONExtractString(data, 'stream') AS stream, JSONExtractString(data, 'text') AS text
    FROM events
    WHERE topic = {{topic:String}} AND subject = {{run_id:String}} AND type = 'headrace.run.console-written'
        AND outcome = 'applied' AND offset >= {{first:UInt64}} AND offset < {{before:UInt64}}
        AND ({{stream:String}} = '' OR stream = {{stream:String}})
    ORDER BY offset {order} LIMIT {{limit:UInt64}}
)
SELECT offset, time_ms, stream, text, found FROM (
    SELECT *, count() OVER () AS found,
        sum(lengthUTF8(text)) OVER (ORDER BY offset {order} ROWS UNBOUNDED PRECEDING) AS held FROM pieces
)
WHERE held - lengthUTF8(text) < {{chars:UInt64}} ORDER BY offset {order}
"""
_FORWARD, _BACKWARD = _SQL.format(order="ASC"), _SQL.format(order="DESC")


class Piece(msgspec.Struct, frozen=True):
    """What was printed at once. offset: its place in the log, by which pages go on. time_ms: since the epoch, UTC."""

    offset: int
    time_ms: int
    stream: str
    text: str


class Console(msgspec.Struct, frozen=True):
    """Pieces in the order they were printed. more: whether there are others, later ones where `after` was asked, else
    earlier ones."""

    pieces: list[Piece]
    more: bool


@router.get(
    "/api/headrace/v1/runs/{run_id}/console",
    summary="What a run's process printed, the newest first, a page at a time",
    openapi_extra=documented(None, *schemas(Console)),
)
async def get_console(
    request: Request,
    run_id: str,
    after: Annotated[int | None, Query(ge=-1, le=INT64_MAX)] = None,
    before: Annotated[int | None, Query(ge=0, le=INT64_MAX)] = None,
    stream: Literal["", "stdout", "stderr"] = "",
    max_results: Annotated[int, Query(ge=1, le=PIECES_MAX)] = PIECES_MAX,
) -> Response:
    """The last pieces before the offset `before`, or the first ones after the offset `after`; neither: the last ones.

    stream: of this one alone. An answer has a million characters, or one piece.
    """
    s = services(request)
    await s.tracking.run(run_id)
    await s.tracking.caught_up()
    asked = {
        "topic": RUNS,
        "run_id": run_id,
        "stream": stream,
        "limit": max_results + 1,
        "chars": CHARS_MAX,
        "first": 0 if after is None else after + 1,
        "before": INT64_MAX if before is None else before,
    }
    pieces, more = await run_in_threadpool(_pieces, s.views, asked, max_results, after is not None)
    return Response(msgspec.json.encode(Console(pieces, more)), media_type="application/json")


def _pieces(views: Views, asked: dict[str, Any], limit: int, forward: bool) -> tuple[list[Piece], bool]:
    """A page in the order of the log, and whether there is more behind its far end. Raises ViewsUnavailable."""
    rows = views.rows(_FORWARD if forward else _BACKWARD, asked)[:limit]
    pieces = [Piece(*row[:4]) for row in rows]
    return pieces if forward else pieces[::-1], bool(rows) and rows[0][4] > len(rows)
