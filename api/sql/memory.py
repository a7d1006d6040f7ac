"""Memory that a statement held in this process goes back to the system at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
from headrace.processors.views import Views, ViewsUnavailable

GROWN_BYTES = 100_000_000
"""Less than this may stay with the allocator, which gives it back within some ten seconds."""


@contextmanager
def given_back(views: Views) -> Iterator[None]:
    """Give back what the engine has freed, where it is in this process and has grown much meanwhile.

    Without this, what one statement freed still counts while the next ones run: three of 500 MB held 2.3 GB.
    """
    before = _resident_bytes()
    try:
        yield
    finally:
        if not views.shared and _resident_bytes() > before + GROWN_BYTES:
            with suppress(ViewsUnavailable):
                views.command("SYSTEM JEMALLOC PURGE")


def _resident_bytes() -> int:
    resident: int = psutil.Process().memory_info().rss
    return resident
