"""Builds a data folder that shows a log as it was at a moment: its log up to then, and the views folded from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from headrace.ingest.copying import Progress, copy
from headrace.ingest.moments import Moment
from headrace.ingest.opening import open_log
from headrace.ingest.past import PAST_FILE
from headrace.processors.bounded import BoundedLog
from headrace.processors.engine import fold_to_end
from headrace.processors.views import ViewsUnavailable, embedded

FOLD_S = 3600.0


class PastFailed(Exception):
    """The folder could not be made; the message says why."""


def build_past(uri: str, moment: Moment, into: Path, tell: Callable[[str, int, int], None]) -> dict[str, Any]:
    """Copy the log at `uri` up to a moment into a folder, fold its views, and mark it as the past.

    tell: takes what is done, to how many records of how many. Stopped or killed and called again, it goes on where it
    was. Raises PastFailed, LogError.
    """
    if into.exists() and any(into.iterdir()) and not (into / PAST_FILE).exists():
        raise PastFailed(f"{into} is not empty; name a new folder for the past")

    def copied(now: Progress) -> None:
        all_ = now.sum()
        tell("copying the log", all_.found + all_.copied, all_.total)

    with closing(open_log(uri, must_exist=True)) as source:
        ends = moment.resolve(source)
        into.mkdir(parents=True, exist_ok=True)
        until = {"/".join(map(str, partition)): offset for partition, offset in ends.items()}
        mark = into / PAST_FILE
        if mark.exists() and json.loads(mark.read_text())["until"] != until:
            raise PastFailed(f"{into} holds another moment of the past; name a new folder")
        mark.write_text(json.dumps({"until": until, "log": uri.split("?", 1)[0], "time_ms": moment.time_ms}))
        with closing(open_log(str(into))) as target:
            records = copy(source, target, ends, copied).sum().total
            tell("folding the views", records, records)
            try:
                with closing(embedded(into / "views")) as views:
                    fold_to_end(BoundedLog(target, target.end()), views, FOLD_S)
            except ViewsUnavailable as error:
                raise PastFailed(f"the views of {into} cannot be made: {error}") from error
    return {"folder": str(into), "records": records, "until": until}
