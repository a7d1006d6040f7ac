"""Makes views stand still from outside of what stores into them: for a rebuild in a process of its own."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from headrace.ingest.log import Log, Partition
from headrace.ingest.topics import FOLDED, REGISTRY
from headrace.processors import checkpoint
from headrace.processors.bounded import BoundedLog
from headrace.processors.engine import fold_to_end
from headrace.processors.ownership import HOLD_PREFIX, HOLD_S, Held, Ownership
from headrace.processors.rebuild import Rebuild, Result
from headrace.processors.views import Fenced, Views, ViewsUnavailable, WrongSchema

logger = logging.getLogger("headrace.rebuild")

REACH_S = 600.0
"""How long bringing the views to the log's end may take, while nobody else stores."""


def live_at(log: Log, live: Views) -> dict[Partition, int]:
    """Offsets below which the views hold everything, as they say themselves."""
    at = checkpoint.read(live)
    registry = {p: offset for p, offset in at.events.items() if p.topic == REGISTRY}
    return {p: 0 for p in log.partitions() if p.topic in FOLDED} | registry | at.runs | at.metrics


def _stand_still(log: Log, live: Views, act: Callable[[Mapping[Partition, int]], None], *, fold: bool) -> None:
    """Bring the views to the log's end, and call act with that while no other process stores into them.

    fold: false for views of another version, which are left as they are. Raises what act raises, and ViewsUnavailable.
    """
    with _held(live, _log_end(log, live)) as ownership:
        # Asked anew: until they were held, others stored on.
        end = _log_end(log, live)
        if fold:
            fold_to_end(BoundedLog(log, end, appends=True), live, REACH_S, ownership)
        act(end)


class ByHold:
    """Of views that workers, if any, store into (see `rebuilding.Standing`)."""

    def __init__(self, log: Log, live: Views) -> None:
        self._log = log
        self._live = live

    def run(self, rebuild: Rebuild, exchange: bool, restart: bool) -> Result:
        """Run a rebuild, as Rebuild.run does. Views of another version cannot be compared, only replaced."""
        try:
            self._live.check_schema()
            compare = True
        except WrongSchema:
            compare = False
        return rebuild.run(
            partial(live_at if compare else _log_end, self._log, self._live),
            partial(_stand_still, self._log, self._live, fold=compare),
            exchange=exchange,
            restart=restart,
            compare=compare,
        )

    def stand_still(self, act: Callable[[Mapping[Partition, int]], None]) -> None:
        """Call act while nobody else stores, and the views are at the log's end."""
        _stand_still(self._log, self._live, act, fold=True)


def _log_end(log: Log, _: Views) -> dict[Partition, int]:
    """The end of the partitions that are folded."""
    return {p: offset for p, offset in log.end().items() if p.topic in FOLDED}


@contextmanager
def _held(live: Views, partitions: Mapping[Partition, int]) -> Iterator[Ownership | None]:
    """Keep the partitions from workers, which wait and go on afterwards. None where nobody else can store."""
    if not live.shared:
        yield None
        return
    ownership = Ownership(live, f"{HOLD_PREFIX}{uuid.uuid4().hex}")
    done = threading.Event()

    def renew() -> None:
        while not done.wait(HOLD_S / 3):
            try:
                ownership.claim(partitions)
            except (ViewsUnavailable, Held, Fenced) as error:
                logger.warning("the hold on the views was not renewed: %s", error)

    try:
        ownership.claim(partitions)
    except (Held, Fenced) as error:
        raise ViewsUnavailable(f"another rebuild stands in the way: {error}") from error
    renewing = threading.Thread(target=renew, name="headrace-hold", daemon=True)
    renewing.start()
    try:
        yield ownership
    finally:
        done.set()
        renewing.join()
        ownership.release(partitions)
