"""A worker whose Kafka client fails once it has partitions. Arguments: as of `python -m headrace.processors.main`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from typing import Any

from faust.types import TP
from headrace.processors import main
from headrace.processors.worker import Worker


class Crashing(Worker):
    """Tells its app that the group is no more."""

    async def _on_assigned(self, _: Any, assigned: Iterable[TP], **__: Any) -> None:
        await super()._on_assigned(_, assigned, **__)
        self.crashing = asyncio.create_task(self.app.crash(RuntimeError("the group is no more")))


if __name__ == "__main__":
    vars(main)["Worker"] = Crashing
    sys.exit(main.main())
