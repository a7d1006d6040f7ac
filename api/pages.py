"""Pages of a search that hold still: each one goes on where the last ended, whatever is written meanwhile.

A token names the moment the first page was read at, the query, and how many results came before. Later pages come from
what the first search found, as long as that is remembered here; else they are searched anew as of that moment.
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
from headrace.ingest.clock import Clock
from headrace.ingest.moments import BadMoment, parse

KEPT_MAX = 16
KEPT_S = 600.0
"""So many results of searches are remembered, for so long."""
TOKEN_CHARS_MAX = 4_000
_WRONG = "Invalid page token"


class _Token(msgspec.Struct, array_like=True):
    """search: which query at which moment, as hex. ends: the moment. offset: results before this page. time_ms: the
    moment as a time, if it was given as one; now_ms: what `now` is."""

    search: str
    ends: str
    offset: int
    time_ms: int | None
    now_ms: int


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
    query = replace(query, now_ms=query.now_ms or s.clock.time_ms())
    in_memory = await all_in_memory(s) if cut is None else True
    # What is searched is at least as new as this.
    moment = cut or s.past.now()
    results: Found | None = None
    if in_memory:
        results = await found(s, query, cut)
        ids = [state.run_id for state in results.page(0, size + 1)]
    else:
        ids = await find(s, query, size + 1, 0)
    if len(ids) <= size:
        return RunPage(ids, None, cut)
    assert query.now_ms is not None
    made = _Token(_name(query, moment), _ends(moment), size, moment.time_ms, query.now_ms)
    if results is not None:
        s.pages.keep(made.search, results)
    return RunPage(ids[:size], _encoded(made), cut)


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
    if not 0 <= found.offset <= PAGE_OFFSET_MAX or abs(found.now_ms) > 2**62:
        raise invalid(_WRONG)
    return found
