"""A world for each test: an empty log, and empty views in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from headrace.ingest.clock import ManualClock
from headrace.ingest.memory import MemoryLog
from headrace.processors.views import Views, embedded

from tests.world import World


@pytest.fixture(scope="module")
def _views(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Views]:
    made = embedded(tmp_path_factory.mktemp("views"))
    yield made
    made.close()


@pytest.fixture
def world(_views: Views) -> World:
    """Empty views and an empty log."""
    clock = ManualClock(1_000_000)
    made = World(_views, MemoryLog(clock), clock)
    made.empty_views()
    return made
