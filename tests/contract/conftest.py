"""Views in every engine: chDB in this process, and ClickHouse over HTTP, the façade and the official server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from headrace.processors.views import Views, create, embedded, server
from headrace.processors.views_url import parse_views_url


@pytest.fixture(params=["chdb", "http", "container"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Views]:
    """Opens views on what it opened before."""
    if request.param == "chdb":
        return lambda: embedded(tmp_path / "views")
    url = request.getfixturevalue("clickhouse" if request.param == "http" else "clickhouse_container").url()
    create(parse_views_url(url))
    return lambda: server(url)


@pytest.fixture
def views(reopen: Callable[[], Views]) -> Iterator[Views]:
    made = reopen()
    yield made
    made.close()
