"""What can go wrong with the views."""

from __future__ import annotations

import re


class ViewsUnavailable(Exception):
    """The views cannot be read or written now; what was logged is safe in the log.

    code: ClickHouse's number of the error, where it has one.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class Fenced(Exception):
    """The guard of an insert refused it, and nothing was inserted; the message is the guard's."""


class WrongSchema(Exception):
    """The views are not there, or were made by another version; the message says what to run."""


THROW_IF_CODE = 395
UNKNOWN_TABLE_CODE = 60
UNKNOWN_DATABASE_CODE = 81


def guards_message(text: str) -> str:
    """A guard's own words out of the engine's, which wrap them: `DB::Exception: <words>: while executing ...`."""
    found = re.search(r"DB::Exception: (.*?)(?:: while executing |: In scope |\. \(FUNCTION_THROW_IF|$)", text, re.S)
    return found.group(1) if found else text
