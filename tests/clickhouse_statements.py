"""The façade's half of a statement: what chDB cannot take as a server would, put in chDB's words."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

TOKEN = re.compile(
    rb"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`|--[^\n]*|/\*.*?\*/|[A-Za-z_][\w.]*|\s+|.""", re.S
)
INSERT_BYTES_MAX = 65536
"""An INSERT's own text is shorter; what follows is data."""
WITH_RESULT = (b"SELECT", b"WITH", b"SHOW", b"DESC", b"DESCRIBE", b"EXPLAIN", b"EXISTS", b"CHECK", b"KILL", b"(")


class Refused(Exception):
    """The engine, or this file, refused a request: `Code: 60. DB::Exception: ...`."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        found = re.search(r"Code: (\d+)", message)
        self.code = int(found.group(1)) if found else 1002


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement in the engine's words. format: of its result, where it names one; query: the part before that."""

    sql: bytes
    format: str | None = None
    has_result: bool = False
    query: bytes = b""


def statement(text: bytes, body: bytes, keep: Path) -> Statement:
    """What the engine is to run: data after `FORMAT` goes to a file, which takes the place of it or of `input(...)`.

    Query ids, which chDB cannot be given, are kept as the query's log_comment.
    """
    insert = text.lstrip()[:6].upper() == b"INSERT"
    read = TOKEN.finditer(text, 0, INSERT_BYTES_MAX if insert else len(text))
    tokens = [(found.group(), found.start()) for found in read]
    words = [(token, at) for token, at in tokens if token[:1].isalpha()]
    first = next((token.upper() for token, _ in tokens if not token.isspace() and token[:2] not in (b"--", b"/*")), b"")
    after = next((at + 1 for token, at in tokens if token == b";"), None)
    if after is not None and not insert and text[after:].strip():
        raise Refused("Code: 62. DB::Exception: Syntax error: Multi-statements are not allowed. (SYNTAX_ERROR)")
    name, start, end = _format_clause(text, words, insert)
    if not insert:
        ids = first == b"KILL"
        own, tail = (b"".join(_own_ids(x, ids) for x, at in tokens if (at < start) == early) for early in (True, False))
        return Statement(own + tail + body, name, first in WITH_RESULT, own)
    if name is None or name.upper() == "VALUES":
        return Statement(text + body)
    keep.write_bytes(text[end:].removeprefix(b"\r").removeprefix(b"\n") + body)
    called = text.find(b"input(", 0, start)
    if called >= 0:
        source = b"file(%s, '%s', " % (literal(str(keep)), name.encode())
        return Statement(text[:called] + source + text[called + 6 : start])
    settings = next((at for token, at in words if token.upper() == b"SETTINGS"), start)
    from_file = b" FROM INFILE %s " % literal(str(keep))
    return Statement(text[:settings] + from_file + text[settings:end])


def _format_clause(text: bytes, words: list[tuple[bytes, int]], insert: bool) -> tuple[str | None, int, int]:
    """The name that follows FORMAT, where the clause begins, and where the name ends."""
    for (token, at), (following, start) in itertools.pairwise(words):
        end = start + len(following)
        if token.upper() == b"FORMAT" and not text[at + 6 : start].strip():
            rest = text[end:].strip().upper()
            if insert or not rest or rest.startswith((b";", b"SETTINGS")):
                return following.decode(), at, end
    return None, len(text), len(text)


def _own_ids(token: bytes, kill: bool) -> bytes:
    if kill:
        return b"Settings['log_comment']" if token == b"query_id" else token
    if token.lower() != b"system.processes":
        return token
    own = b"if(mapContains(Settings, 'log_comment'), Settings['log_comment'], query_id) AS query_id"
    return b"(SELECT * REPLACE (%s) FROM system.processes)" % own


def literal(text: str) -> bytes:
    """Text as an SQL string."""
    return ("'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'").encode()
