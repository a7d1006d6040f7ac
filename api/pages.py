"""Pages of a search that hold still: each one goes on where the last ended, whatever is written meanwhile.

A token names the moment the first page was read at, the query, and how many results came before. Later pages come from
what the first search found, as long as that is remembered here; else they are searched anew as of that moment. And what
many ask while nothing is written is searched once.
"""

from __future__ import annotations

import base64
import hashlib
from collections import OrderedDict
from dataclasses import replace

import msgspec
from headrace.api.errors import invalid
from headrace.api.finding import RunQuery, all_in_memory, find, found
from headrace.api.points import Cut
from headrace.api.ranking import Found
from headrace.api.search import PAGE_OFFSET_MAX
from headrace.api.services import Services
from headrace.api.syntax import Comparison, Now, Order, comparisons
from headrace.ingest.clock import Clock
from headrace.ingest.moments import BadMoment, parse

KEPT_MAX = 16
KEPT_S = 600.0
"""So many results of searches are remembered, for so long."""
TOKEN_CHARS_MAX = 4_000
_WRONG = "Invalid page token"


class _Token(msgspec.Struct, array_like=True):
    """search: which query at which moment, as hex. ends: the moment. offset: results before this page. time_ms: the
    moment as a time, if it was given as one; now_ms: what `now` is, where the query depends on it."""

    search: str
    ends: str
    offset: int
    time_ms: int | None
    now_ms: int | None


class RunPage(msgspec.Struct, frozen=True):
    """The runs of a page, and the token of the next one or None. cut: the moment that was asked for, None for now."""

    run_ids: list[str]
    next_token: str | None
    cut: Cut | None


class Pages:
    """What was found lately. On the event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, Found]] = OrderedDict()

    def keep(self, search: str, results: Found) -> None:
        """Remember results under the name of their search."""
        self._kept[search] = (self._clock.monotonic_s() + KEPT_S, results)
        self._kept.move_to_end(search)
        while len(self._kept) > KEPT_MAX or next(iter(self._kept.values()))[0] < self._clock.monotonic_s():
            self._kept.popitem(last=False)

    def kept(self, search: str) -> Found | None:
        """The results of a search, if they are remembered."""
        held = self._kept.get(search)
        return held[1] if held is not None and held[0] > self._clock.monotonic_s() else None


async def page(s: Services, query: RunQuery, size: int, token: str, as_of: str) -> RunPage:
    """A page of at most `size` runs. token: of the page before; it has its moment, whatever as_of says.

    Raises INVALID_PARAMETER_VALUE for a token that is none, or of another search.
    """
    if token:
        return await _next(s, query, size, _decoded(token), as_of)
    cut = await s.past.cut(as_of)
    if query.now_ms is None and _depends_on_now(query):
        query = replace(query, now_ms=s.clock.time_ms() if cut is None or cut.time_ms is None else cut.time_ms)
    in_memory = await all_in_memory(s) if cut is None else True
    # What is searched is at least as new as this.
    moment = cut or s.past.now()
    name = _name(query, moment)
    if in_memory:
        results = s.pages.kept(name)
        if results is None:
            results = await found(s, query, cut)
            s.pages.keep(name, results)
        ids = [state.run_id for state in results.page(0, size + 1)]
    else:
        ids = await find(s, query, size + 1, 0)
    made = _Token(name, _ends(moment), size, moment.time_ms, query.now_ms)
    return RunPage(ids[:size], _encoded(made) if len(ids) > size else None, cut)


async def _next(s: Services, query: RunQuery, size: int, token: _Token, as_of: str) -> RunPage:
    query = replace(query, now_ms=token.now_ms)
    try:
        moment = Cut(parse([token.ends]).offsets, token.time_ms)
    except BadMoment:
        raise invalid(_WRONG) from None
    if token.search != _name(query, moment):
        raise invalid(f"{_WRONG}: it is of a search with another filter, order, view or other experiments")
    results = s.pages.kept(token.search)
    if results is None:
        await s.past.reached(moment)
        results = await found(s, query, moment)
        s.pages.keep(token.search, results)
    ids = [state.run_id for state in results.page(token.offset, size + 1)]
    following = msgspec.structs.replace(token, offset=token.offset + size) if len(ids) > size else None
    return RunPage(ids[:size], _encoded(following) if following else None, moment if as_of else None)


def _depends_on_now(query: RunQuery) -> bool:
    """Whether the answer changes while nothing is written."""
    named: list[Comparison | Order] = [*comparisons(query.expression), *query.order]
    return any(x.key == "duration" or isinstance(getattr(x, "value", None), Now) for x in named)


def _name(query: RunQuery, moment: Cut) -> str:
    """Names a search: equal for the same query at the same moment alone."""
    return hashlib.sha256(f"{query!r}|{_ends(moment)}".encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _ends(moment: Cut) -> str:
    return ",".join(f"{p.topic}/{p.partition}/{end}" for p, end in sorted(moment.ends.items()))


def _encoded(token: _Token) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(token)).decode()


def _decoded(text: str) -> _Token:
    try:
        if len(text) > TOKEN_CHARS_MAX:
            raise ValueError
        found = msgspec.json.decode(base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True), type=_Token)
    except (ValueError, UnicodeError):
        raise invalid(_WRONG) from None
    if not 0 <= found.offset <= PAGE_OFFSET_MAX or abs(found.now_ms or 0) > 2**62:
        raise invalid(_WRONG)
    return found
