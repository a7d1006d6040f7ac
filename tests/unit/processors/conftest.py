"""A world for each test: an empty log, and empty views in this process; or views that processes share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from headrace.ingest.clock import ManualClock
from headrace.ingest.memory import MemoryLog
from headrace.processors import views
from headrace.processors.views import Views, embedded
from headrace.processors.views_url import parse_views_url

from tests.clickhouse_server import ClickHouse
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


@pytest.fixture
def shared(clickhouse: ClickHouse) -> Iterator[Callable[[], Views]]:
    """Opens the views of one new database, again and again, as processes do."""
    url = clickhouse.url()
    views.create(parse_views_url(url))
    opened: list[Views] = []

    def opens() -> Views:
        opened.append(views.server(url))
        return opened[-1]

    yield opens
    for one in opened:
        one.close()
