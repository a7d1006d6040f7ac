"""Runs as the JSON that clients get, made once for each state of a run."""

from __future__ import annotations

from collections import OrderedDict

import msgspec
from headrace.api.mlflow import entities
from headrace.processors.metrics import Summary
from headrace.processors.runs import RunState

BYTES_MAX = 64 * 1024 * 1024


class Documents:
    """Keeps the documents of runs that were asked for lately, up to BYTES_MAX. For one thread."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[RunState, int, msgspec.Raw]] = OrderedDict()
        self._size = 0

    def of(self, state: RunState, summaries: dict[str, Summary]) -> msgspec.Raw:
        """MLflow's Run, encoded. A state is never changed in place, and a metric's newest offset only rises."""
        newest = max((summary.offset for summary in summaries.values()), default=-1)
        kept = self._kept.get(state.run_id)
        if kept is not None and kept[0] is state and kept[1] == newest:
            self._kept.move_to_end(state.run_id)
            return kept[2]
        document = msgspec.Raw(msgspec.json.encode(entities.run(state, summaries)))
        if kept is not None:
            self._size -= len(bytes(kept[2]))
        self._kept[state.run_id] = (state, newest, document)
        self._kept.move_to_end(state.run_id)
        self._size += len(bytes(document))
        while self._size > BYTES_MAX:
            _, (_, _, oldest) = self._kept.popitem(last=False)
            self._size -= len(bytes(oldest))
        return document
