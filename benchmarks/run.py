"""Runs the benchmarks: `python -m benchmarks.run [PART] [--json FILE] [--quick]`.

PART: sdk, path, memory, server, crowd, queries, page, serving, swap, scale or all (the default). scale-workers,
scale-rebuild, scale-visible, scale-memory and scale-consumers are the parts of scale, one by one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import crowd, endpoint_swap, machine, memory, page, path, queries, scale, sdk, server, serving
from benchmarks.figures import Table

Part = Callable[[Path, int, bool, Callable[[str], None]], Iterator[Table]]
PARTS: dict[str, Part] = {
    "sdk": sdk.run,
    "path": path.run,
    "memory": memory.run,
    "server": server.run,
    "crowd": crowd.run,
    "queries": queries.run,
    "page": page.run,
    "serving": serving.run,
    "swap": endpoint_swap.run,
    "scale": scale.run,
}


def main() -> int:
    """The command line; tables go to stdout as Markdown, progress to stderr."""
    # So that servers and workers are stopped, and folders removed, also when this is ended from outside.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("part", nargs="?", choices=[*PARTS, *scale.PARTS, "all"], default="all")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that everything works")
    parser.add_argument("--rounds", type=int, help="rounds of each measurement (default 3)")
    given = parser.parse_args()
    parts_by_name = {**PARTS, **scale.PARTS}
    chosen = list(PARTS) if given.part == "all" else [given.part]
    rounds = given.rounds or (1 if given.quick else 3)
    report: dict[str, object] = {"machine": machine.describe(), "quick": given.quick, "rounds": rounds}
    parts: dict[str, list[object]] = {}
    print("\n".join(f"- {name}: {value}" for name, value in machine.describe().items()), end="\n\n", flush=True)
    for name in chosen:
        tables = parts.setdefault(name, [])
        with tempfile.TemporaryDirectory(prefix=f"headrace-bench-{name}-") as folder:
            for table in parts_by_name[name](Path(folder), rounds, given.quick, _say):
                table.notes.append(f"Load average afterwards: {os.getloadavg()[0]:.1f}.")
                print(table.markdown(), flush=True)
                tables.append(table.plain())
    report["parts"] = parts
    if given.json:
        given.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


_STARTED_S = time.monotonic()


def _say(what: str) -> None:
    print(f"[{time.monotonic() - _STARTED_S:6.1f} s] {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
