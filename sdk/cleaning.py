"""What log calls accept, made fit for the log: a wrong value costs a warning, never the training."""

from __future__ import annotations

import logging
import threading
from typing import Any

from headrace.ingest.limits import INT64_MAX, INT64_MIN, key_fault

logger = logging.getLogger("headrace")

_KEYS_MAX = 100_000
good_keys: dict[str, None] = {}
"""Keys that were found to be fine, so that they are checked once."""
_warned: set[str] = set()
_warned_lock = threading.Lock()


def warn_once(topic: str, message: str, *arguments: Any) -> None:
    """Warn about a thing the first time it happens: a training loop would repeat it a million times."""
    with _warned_lock:
        if topic in _warned:
            return
        if len(_warned) < 10_000:
            _warned.add(topic)
    logger.warning(message, *arguments)


def key_of(what: str, key: Any) -> str | None:
    """The key of a param, metric or tag, or None, with a warning, when it is not allowed."""
    text = key if key.__class__ is str else str(key)
    fault = key_fault(text)
    if fault is not None:
        warn_once(f"key:{text[:200]}", "the %s %r was dropped: %s", what, text[:300], fault)
        return None
    if len(good_keys) >= _KEYS_MAX:
        good_keys.clear()
    good_keys[text] = None
    return text


def number_of(key: str, value: Any) -> float | None:
    """A metric's value as a float (numpy, torch and TensorFlow scalars too), or None, with a warning."""
    if value.__class__ is float:
        return float(value)
    try:
        if isinstance(value, str | bytes):
            raise TypeError("it is text")
        return float(value)
    except Exception as error:  # whatever a foreign type's __float__ raises
        warn_once(f"value:{key}", "a value of the metric %r was dropped: %r is no number (%s)", key, value, error)
        return None


def integer_of(what: str, value: Any) -> int | None:
    """A step or timestamp as an int64, or None, with a warning."""
    try:
        number = int(value)
        if INT64_MIN <= number <= INT64_MAX:
            return number
        reason = "it does not fit 64 bits"
    except Exception as error:  # whatever a foreign type's __int__ raises
        reason = str(error)
    warn_once(f"{what}:{reason}", "a point was dropped: its %s %r cannot be used: %s", what, value, reason)
    return None


def text_of(what: str, key: str, value: Any, chars_max: int) -> str:
    """A param's or tag's value as text the log can hold; cut, with a warning, when it is too long."""
    if value.__class__ is str:
        text: str = value
    else:
        try:
            text = str(value)
        except Exception as error:  # a broken __str__ must not end a training
            warn_once(f"{what}:{key}", "the value of the %s %r has no text: %s", what, key, error)
            text = f"<{type(value).__name__}>"
    if len(text) > chars_max:
        warn_once(
            f"long:{what}:{key}", "the %s %r was cut: it has %d characters, and at most %d are kept",
            what, key, len(text), chars_max,
        )  # fmt: skip
        text = text[:chars_max]
    try:
        text.encode()
    except UnicodeEncodeError:  # lone surrogates, from file names for instance
        text = text.encode("utf-8", "replace").decode()
    return text
