"""Why a statement is not run."""

from __future__ import annotations


class Refusal(Exception):
    """The statement is refused; the message says what is refused, where it is known, and what to do instead."""


def place(text: str, offset: int) -> str:
    """Where in the statement, as a person counts: `line 2, column 7`."""
    before = text[:offset]
    return f"line {before.count(chr(10)) + 1}, column {offset - before.rfind(chr(10))}"
