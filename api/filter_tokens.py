"""The words, symbols and quoted texts of a filter, and how a fault in one is told."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

FILTER_CHARS_MAX: Final = 200_000

_WORD = re.compile(r"[^\s\"'`()<>=!,;]+")
_SYMBOL = re.compile(r"[<>=!]+~?|[(),;]")


class FilterError(ValueError):
    """The filter or order_by clause cannot be understood: what is wrong, at which character, and what was expected."""

    def __init__(self, message: str, position: int, expected: str) -> None:
        """message: the fault as a sentence; position: of the first wrong character, counted from 1."""
        super().__init__(f"{message} At character {position}: expected {expected}.")
        self.message = message
        self.position = position
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Token:
    """kind: word, symbol, a quote character (then text is what it encloses, unescaped) or end. start, end: 0-based."""

    kind: str
    text: str
    source: str
    start: int
    end: int

    def is_word(self, word: str) -> bool:
        """Whether it is this word, whose letters are upper case here and any case there."""
        return self.kind == "word" and self.text.upper() == word

    def is_symbol(self, symbol: str) -> bool:
        """Whether it is this symbol."""
        return self.kind == "symbol" and self.text == symbol

    @property
    def is_text(self) -> bool:
        """Whether it is a text in single or double quotes."""
        return self.kind in ("'", '"')


def checked(text: str, fault: str) -> None:
    """Refuse what is too long or no Unicode. fault: how a complaint opens."""
    if len(text) > FILTER_CHARS_MAX:
        raise FilterError(
            f"{fault}: it has {len(text)} characters.", FILTER_CHARS_MAX + 1, f"at most {FILTER_CHARS_MAX}"
        )
    for at, character in enumerate(text):
        if "\ud800" <= character <= "\udfff":
            raise FilterError(f"{fault}: it is not valid Unicode.", at + 1, "no lone surrogate")


def tokens_of(text: str, fault: str) -> list[Token]:
    """Split into tokens, of which the last is the end. fault: how a complaint opens. Raises FilterError."""
    found: list[Token] = []
    last = {quote: text.rfind(quote) for quote in "\"'`"}
    at = 0
    while at < len(text):
        character = text[at]
        if character.isspace():
            at += 1
            continue
        if character in last:
            quoted = _quoted(text, at, last[character])
            if quoted is None:
                raise FilterError(f"{fault}: {short(text[at:])}.", at + 1, f"a closing {character} for the one here")
            inner, end = quoted
            found.append(Token(character, inner, text[at:end], at, end))
            at = end
            continue
        kind, match = "word", _WORD.match(text, at)
        if match is None:
            kind, match = "symbol", _SYMBOL.match(text, at)
        assert match is not None  # the two patterns and the quotes cover every character
        found.append(Token(kind, match[0], match[0], at, match.end()))
        at = match.end()
    found.append(Token("end", "", "", len(text), len(text)))
    return found


def _quoted(text: str, start: int, last: int) -> tuple[str, int] | None:
    """What the quote at start encloses and where it ends, or None. last: where this quote character occurs last.

    A quote inside is doubled or follows a backslash; a backslash before the very last quote is a plain one, so that
    a Windows path may end a filter.
    """
    quote, parts, begin, at = text[start], [], start + 1, start + 1
    while (at := text.find(quote, at)) != -1:
        if quote != "`" and text[at - 1] == "\\" and at != last:
            parts.append(text[begin : at - 1])
            begin, at = at, at + 1
        elif text.startswith(quote, at + 1):
            parts.append(text[begin:at])
            begin, at = at + 1, at + 2
        else:
            return "".join(parts) + text[begin:at], at + 1
    return None


def short(text: str) -> str:
    """A text in quotes, cut to what a message can hold."""
    return f"'{text}'" if len(text) <= 100 else f"'{text[:100]}…'"


def one_of(names: Iterable[str]) -> str:
    """Names with commas between."""
    return ", ".join(names)
