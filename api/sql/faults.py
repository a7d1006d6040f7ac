"""What the engine says of a statement, as a sentence about the statement: no stack, no path, no text of the views."""

from __future__ import annotations

import re

from headrace.api.sql.limits import Limits
from headrace.api.sql.refusal import Refusal
from headrace.processors.views import ViewsUnavailable

SYNTAX_CODE = 62
_OF_THE_ENGINE = frozenset(
    {
        *(60, 74, 75, 76, 77, 81, 88, 173, 192, 193, 194, 202, 209, 210, 225, 242, 243, 252, 279, 497, 516, 999),
        *(236, 373),
    }
)
"""Errors of storage, connections and rights: nothing is wrong with the statement, and it may be right in a moment."""
_TEXT_CHARS_MAX = 600
_EXPECTED_MAX = 8
_ASIDE = re.compile(r"[:.,]? Maybe you meant|[:.,]? (?:in|In) scope |:? [Ww]hile (?:executing|processing)|: ?In query")


def fault(error: ViewsUnavailable, limits: Limits) -> Exception:
    """What to raise for an error of the engine: a Refusal, or the error itself where the statement is not at fault."""
    told = limits.told(error.code)
    if told is not None:
        return Refusal(told)
    unknown = re.search(r"Unknown table expression identifier '([^'.]+)'", str(error))
    if unknown is not None:
        return Refusal(f"there is no view or WITH name {unknown.group(1)!r} where it is named")
    if error.code is None or error.code in _OF_THE_ENGINE:
        return error
    return Refusal(_cleaned(str(error)))


def syntax_fault(error: ViewsUnavailable, limits: Limits, sql: str, begins: int) -> Exception:
    """The same for an error of the parser. sql: the statement; begins: where in the engine's text it begins, bytes."""
    found = re.search(r"Syntax error.*?: failed at position (\d+) \((.*?)\)(?: \(line|:)", str(error), re.DOTALL)
    if error.code != SYNTAX_CODE or found is None:
        return fault(error, limits)
    data = sql.encode()
    at = int(found.group(1)) - 1 - begins
    if at >= len(data):
        where, near = "at its end", ""
    else:
        before = data[: max(0, at)].decode(errors="replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        where = f"at line {line}, column {column}"
        near = f", near {data[max(0, at) :].decode(errors='replace').split(chr(10))[0][:40]!r}"
    return Refusal(f"the statement cannot be read {where}{near}{_expected(str(error))}")


def _expected(text: str) -> str:
    found = re.search(r"Expected (?:one of: )?(.*?)\. \(SYNTAX_ERROR\)", text, re.DOTALL)
    if found is None:
        return ""
    words = [word for word in found.group(1).split(", ") if word not in ("token", "token sequence")]
    more = ", ..." if len(words) > _EXPECTED_MAX else ""
    return f"; expected {', '.join(words[:_EXPECTED_MAX])}{more}" if words else ""


def _cleaned(text: str) -> str:
    text = " ".join(text.split())
    text = re.sub(r"^.*?DB::Exception: ", "", text)
    text = re.sub(r"^(?:Code: \d+\. DB::Exception: )+", "", text)
    text = re.sub(r" ?\(version [^()]*(?:\([^()]*\))?\)", "", text)
    text = re.sub(r"(?:[.:]? ?\([A-Z0-9_]+\)[.]?)+$", "", text)
    hint = re.search(r"Maybe you meant: \[[^\]]*\]", text)
    text = re.split(
        r"[:.,]? Maybe you meant|[:.,]? (?:in|In) scope |:? [Ww]hile (?:executing|processing)|: ?In query", text
    )[0]
    text = re.sub(r"__table\d+\.", "", text).rstrip(" .:")
    if hint is not None and hint.group() not in text:
        text = f"{text}. {hint.group().rstrip(' .')}"
    return text[:_TEXT_CHARS_MAX] or "the engine cannot run the statement"
