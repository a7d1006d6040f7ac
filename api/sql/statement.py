"""The words of a statement: cut into tokens and put in a plain form that no lexer can read in two ways.

The engine's parser is what judges a statement (gate.py); this sees to it that the text it judges is one statement, and
that what the engine prints of it can be trusted: comments become blanks, no `;` is left anywhere, brackets are closed,
and nothing outside quotes is other than ASCII.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from headrace.api.sql.refusal import Refusal, place

STATEMENT_BYTES_MAX = 100_000
DEPTH_MAX = 100
"""Brackets within brackets."""

_BEGINNINGS = ("SELECT", "WITH", "FROM")
_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r\n\f\v]+)
      | (?P<comment>--[^\n]*)
      | (?P<long_comment>/\*)
      | (?P<string>'(?:[^'\\]|\\.|'')*+')
      | (?P<name>"(?:[^"\\]|\\.|"")*+"|`(?:[^`\\]|\\.|``)*+`)
      | (?P<word>[A-Za-z0-9_]+)
      | (?P<open>[(\[])
      | (?P<close>[)\]])
      | (?P<end>;)
      | (?P<sign>[-+*/%<>=!|?:.,^])
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_MARK = re.compile(r"/\*|\*/")
_ESCAPED = re.compile(r"\\.|[;{]", re.DOTALL)
_OPEN = {")": "(", "]": "["}
_PRINTED_RAW = frozenset({"COLUMNS", "EXCEPT", "COLLATE"})
"""The engine prints strings that follow these as they are, so they may not break its lines."""
_LINE_BREAKING = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]|\\[^\\'%_.*+?()\[\]{}|^$dDwWsSbB]")
_UNREADABLE_NAME = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\\;{}]|,\s*\w+\s*:")
_WHAT_FOR = {
    "{": "query parameters like {name:Type} are not taken; write the value itself",
    "}": "query parameters like {name:Type} are not taken; write the value itself",
    "$": "$ begins a here-document, which is not taken; write the text in single quotes",
    "#": "comments begin with -- here",
    "@": "variables like @@name are not taken",
    "'": "the text in single quotes is not closed",
    '"': "the name in double quotes is not closed",
    "`": "the name in backticks is not closed",
    "\\": "a backslash may stand in quotes only",
}


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement in its plain form. text: as it was given. words: all that stand outside quotes, in upper case."""

    text: str
    sql: str
    words: frozenset[str]


def read(text: str) -> Statement:
    """The plain form of a statement. Raises Refusal."""
    _check_size(text)
    parts: list[str] = []
    words: list[str] = []
    strings: list[tuple[int, str]] = []
    brackets: list[str] = []
    at = 0
    ended = -1
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise Refusal(f"{_fault(text[at])}, at {place(text, at)}")
        kind, token = str(found.lastgroup), found.group()
        if kind == "long_comment":
            token = text[at : _comment_end(text, at)]
        if ended >= 0 and kind not in ("blank", "comment", "long_comment", "end"):
            raise Refusal(f"only one statement is taken, and another one begins at {place(text, at)}")
        match kind:
            case "comment" | "long_comment":
                parts.append(re.sub(r"[^\n]", " ", token))
            case "string":
                strings.append((at, token))
                parts.append(_ESCAPED.sub(_harmless, token))
            case "name":
                _check_name(text, at, token)
                parts.append(token)
            case "end":
                ended = at
            case _:
                if kind == "word":
                    words.append(token.upper())
                _nest(text, at, kind, token, brackets)
                parts.append(token)
        at += len(token)
    if brackets:
        raise Refusal(f"{len(brackets)} brackets are opened and not closed; the last is {brackets[-1]!r}")
    _check_beginning(words, parts)
    found_words = frozenset(words)
    if found_words & _PRINTED_RAW:
        for offset, string in strings:
            hexadecimal = text[offset - 1 : offset].isalnum()
            if hexadecimal or _LINE_BREAKING.search(string[1:-1].replace("\\\\", "")):
                raise Refusal(
                    "a statement with COLUMNS, EXCEPT or COLLATE may not have control characters in its texts;"
                    f" there is one at {place(text, offset)}"
                )
    return Statement(text, "".join(parts).strip(), found_words)


def _check_size(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise Refusal("the statement is no valid Unicode text") from None
    if size > STATEMENT_BYTES_MAX:
        raise Refusal(f"the statement has {size:,} bytes, and at most {STATEMENT_BYTES_MAX:,} are taken")


def _comment_end(text: str, at: int) -> int:
    depth = 0
    for mark in _COMMENT_MARK.finditer(text, at):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return mark.end()
    raise Refusal(f"the comment at {place(text, at)} is not closed")


def _harmless(found: re.Match[str]) -> str:
    """What of a string means something to those who only look for it, written as an escape."""
    held = found.group()
    if held[-1] not in ";{":
        return held
    # The engine keeps a backslash before a character that it does not escape.
    return ("\\\\" if len(held) == 2 else "") + f"\\x{ord(held[-1]):02x}"


def _check_name(text: str, at: int, token: str) -> None:
    if _UNREADABLE_NAME.search(token[1:-1]):
        raise Refusal(
            f"the quoted name at {place(text, at)} has a character that names may not have here"
            " (control characters, backslash, ';', braces, or a comma with a colon after it)"
        )


def _nest(text: str, at: int, kind: str, token: str, brackets: list[str]) -> None:
    if kind == "open":
        brackets.append(token)
        if len(brackets) > DEPTH_MAX:
            raise Refusal(f"brackets are nested more than {DEPTH_MAX} deep at {place(text, at)}")
    elif kind == "close" and (not brackets or brackets.pop() != _OPEN[token]):
        raise Refusal(f"the bracket {token!r} at {place(text, at)} closes nothing")


def _check_beginning(words: list[str], parts: list[str]) -> None:
    plain = "".join(parts).strip()
    if not plain:
        raise Refusal("there is no statement; write SELECT ...")
    if not words or words[0] not in _BEGINNINGS or not re.match(r"[(\w]", plain):
        begins = words[0] if words and re.match(r"\w", plain) else plain[0]
        raise Refusal(f"only SELECT and WITH ... SELECT are taken, and this begins with {begins[:40]}")


def _fault(character: str) -> str:
    what = _WHAT_FOR.get(character)
    if what is not None:
        return what
    if character.isascii():
        return f"the character {character!r} has no meaning here"
    return f"{character!r} may stand in quotes only; put names with it in backticks"
