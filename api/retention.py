"""How long an experiment keeps its runs: a tag of it says so, and each gc puts those in the bin whose time is over."""

from __future__ import annotations

from headrace.api.erasing_answers import EVER_MS, LISTED_MAX, Erased, Left
from headrace.api.quantities import duration_ms
from headrace.api.tracking import Tracking
from headrace.ingest import events
from headrace.ingest.clock import Clock
from headrace.processors.entities import Entities
from headrace.processors.registry import ACTIVE
from headrace.processors.runs import ENDED
from headrace.processors.views import Views
from starlette.concurrency import run_in_threadpool

RETENTION_TAG = "headrace.retention"


async def retain(views: Views, engine: Entities, tracking: Tracking, clock: Clock, answer: Erased) -> None:
    """Put runs in the bin that ended longer ago than their experiment keeps them. Raises ViewsUnavailable."""
    now_ms = clock.time_ms()
    for experiment in list(engine.registry.experiments.values()):
        text = experiment.tags.get(RETENTION_TAG, "")
        if not text or experiment.lifecycle != ACTIVE:
            continue
        kept_ms = duration_ms(text) if not text[-1:].isdigit() else None
        if kept_ms is None or kept_ms < 0:
            why = f"its tag {RETENTION_TAG} is {text!r}, no duration such as 90d: none of its runs was binned"
            answer.left.append(Left(experiment.experiment_id, why))
            continue
        sql = (
            "SELECT run_id FROM runs FINAL WHERE experiment_id = {id:String} AND lifecycle = 'active'"
            " AND status IN {ended:Array(String)} AND end_time_ms > 0 AND end_time_ms <= {before:Int64}"
            " ORDER BY end_time_ms, run_id LIMIT {limit:UInt64}"
        )
        parameters = {
            "id": experiment.experiment_id,
            "ended": list(ENDED),
            "before": int(now_ms - min(kept_ms, EVER_MS)),
            "limit": LISTED_MAX,
        }
        run_ids = [row[0] for row in await run_in_threadpool(views.rows, sql, parameters)]
        answer.binned += run_ids
        if run_ids and not answer.dry_run:
            deleted = events.RunDeleted(f"it ended longer ago than {text}, the retention of its experiment")
            await tracking.commands([(run_id, deleted) for run_id in run_ids])
        answer.more |= len(run_ids) == LISTED_MAX
