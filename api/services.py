"""What the routes work with, put together once in app.py and handed out by `services(request)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import Request
from headrace.api.settings import Settings
from headrace.ingest.clock import Clock
from headrace.ingest.log import Log
from headrace.processors.entities import Entities
from headrace.processors.rebuilding import Rebuilding
from headrace.processors.views import Views

if TYPE_CHECKING:
    from headrace.api.appender import Appender
    from headrace.api.as_of import AsOf
    from headrace.api.ends import Ends
    from headrace.api.erasing import Eraser
    from headrace.api.feed.feed import Feed
    from headrace.api.forks import Forks
    from headrace.api.metric_columns import MetricColumns
    from headrace.api.mlflow.documents import Documents
    from headrace.api.pages import Pages
    from headrace.api.point_aggregates import PointAggregates
    from headrace.api.rates import Rates
    from headrace.api.registering import Registering
    from headrace.api.serving.fleet import Fleet
    from headrace.api.stores.store import ArtifactStore
    from headrace.api.tracking import Tracking


@dataclass(frozen=True, slots=True)
class Services:
    """One server's parts."""

    settings: Settings
    clock: Clock
    log: Log
    ends: Ends
    views: Views
    engine: Entities
    appender: Appender
    tracking: Tracking
    forks: Forks
    past: AsOf
    artifacts: ArtifactStore
    feed: Feed
    documents: Documents
    aggregates: PointAggregates
    metric_columns: MetricColumns
    pages: Pages
    rebuilding: Rebuilding | None
    eraser: Eraser
    registering: Registering
    fleet: Fleet
    rates: Rates


def services(request: Request) -> Services:
    """The parts of the server that got this request."""
    found: Services = request.app.state.services
    return found
