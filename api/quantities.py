"""Numbers with SI and IEC suffixes, durations, times, and regular expressions, as a filter writes them."""

from __future__ import annotations

import functools
import math
import re
import time
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from headrace.api.filter_tokens import FilterError, short

REGEX_CHARS_MAX: Final = 1000
REGEX_REPEATS_MAX: Final = 200
REGEX_S_MAX: Final = 10.0
_PART_CHARS: Final = 100_000
_COUNTS = re.compile(r"\{([0-9]{1,4})(?:,([0-9]{0,4}))?\}")
NUMBER_PATTERN: Final = (
    r"^[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
    r"|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?|[nN][aA][nN])$"
)
"""What a param or tag must look like to be a number, for Python and RE2 alike."""

_NUMBER = re.compile(NUMBER_PATTERN.strip("^$"))
_PLAIN = r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+"  # so that each digit is looked at once
_SCALED = re.compile(rf"([+-]?(?:{_PLAIN})(?:[eE][+-]?[0-9]+)?)(?:([kKMGTP])(i?))?B?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_SCALES: Final = {"k": 1, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
UNITS_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
"""Units of a duration, in ms."""
_DURATION = re.compile(rf"[+-]?(?:(?:{_PLAIN})(?:ms|[smhdw]))+")
_PART = re.compile(rf"({_PLAIN})(ms|[smhdw])")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9:.,]{2,18}(?:Z|[+-][0-9:]{2,9})?)?")


def plain_number(text: str) -> float | None:
    """The number a text is, as MLflow's filters write numbers, or None: what params and tags are compared by."""
    return float(text) if _NUMBER.fullmatch(text) else None


def number(text: str) -> float | None:
    """A number with or without a suffix; or None.

    k M G T P stand for powers of 1000, Ki Mi Gi Ti Pi for those of 1024, and a B may follow.
    """
    plain = plain_number(text)
    if plain is not None:
        return plain
    match = _SCALED.fullmatch(text)
    if match is None:
        return None
    base = 1024 if match[3] else 1000
    return float(match[1]) * float(base ** _SCALES.get(match[2] or "", 0))


def integer_or_float(text: str) -> int | float | None:
    """A finite number, exact where it is whole and has up to 19 digits; or None."""
    value = plain_number(text)
    if value is None or not math.isfinite(value):
        return None
    return int(text) if _INTEGER.fullmatch(text) else value


def duration_ms(text: str) -> int | float | None:
    """A duration such as 90m or 1h30m, or a bare number of ms; or None. Whole where it is a whole number of ms."""
    bare = integer_or_float(text)
    if bare is not None:
        return bare
    if len(text) > 100 or not _DURATION.fullmatch(text):
        return None
    total = sum((float(amount) * UNITS_MS[unit] for amount, unit in _PART.findall(text)), 0.0)
    if not math.isfinite(total):
        return None
    total = -total if text.startswith("-") else total
    return int(total) if total.is_integer() and abs(total) < 2**53 else total


def time_ms(text: str) -> int | float | None:
    """An ISO 8601 date or time in ms since the epoch, UTC where it names no zone; or None."""
    if not _DATE.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        since = zoned - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    whole = since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
    return whole if since.microseconds % 1000 == 0 else whole + since.microseconds % 1000 / 1000


# --- regular expressions: RE2's, so that no pattern takes more than linear time ---------------------------------------


def regex_fault(pattern: str) -> str | None:
    """What is wrong with a regular expression, or None."""
    if len(pattern) > REGEX_CHARS_MAX:
        return f"it has {len(pattern)} characters"
    if sum(int(x[1] or x[0]) for x in _COUNTS.findall(pattern)) > REGEX_REPEATS_MAX:
        return f"its counted repetitions come to more than {REGEX_REPEATS_MAX}"
    try:
        matching(pattern, ("",))
    except pa.ArrowInvalid as error:
        return str(error).removeprefix("Invalid regular expression: ")
    return None


def matching(pattern: str, texts: Collection[str], limit_s: float = REGEX_S_MAX) -> frozenset[str]:
    """Those of the texts in which the pattern matches somewhere; a dot matches every character.

    Linear time can be long: after limit_s, seconds, it gives up and raises FilterError.
    """
    end_s = time.monotonic() + limit_s
    found: list[str] = []
    for part in _parts(texts):
        if time.monotonic() > end_s:
            raise FilterError(
                f"Invalid clause(s) in filter string: the regular expression {short(pattern)} takes more than"
                f" {limit_s:g} s over the texts of these runs.",
                1,
                "a simpler regular expression, or fewer experiments",
            )
        found += part.filter(pc.match_substring_regex(part, f"(?s){pattern}")).to_pylist()
    return frozenset(found)


def _parts(texts: Collection[str]) -> Iterator[pa.Array]:
    """The texts in arrays that are short enough to look at the time between two."""
    part: list[str] = []
    size = 0
    for text in texts:
        part.append(text)
        size += len(text)
        if size > _PART_CHARS:
            yield pa.array(part, pa.large_string())
            part, size = [], 0
    yield pa.array(part, pa.large_string())


@functools.lru_cache(maxsize=65_536)
def matches_regex(pattern: str, text: str) -> bool:
    """Whether the pattern matches somewhere in one text."""
    return bool(matching(pattern, (text,)))


# --- params and tags as numbers ---------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=65_536)
def number_of(text: str | None) -> float | None:
    """The number a param or tag is, or None where it is none or not there."""
    return None if text is None else plain_number(text)
