"""What the figures were taken on."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("headrace", "chdb", "clickhouse-connect", "pyarrow", "uvicorn", "fastapi", "msgspec", "httpx")


def describe() -> dict[str, str]:
    """Processor, cores, memory, kernel, Python, our commit and the versions that matter, as strings."""
    cpu = next((line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "")
    memory = next((line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "0")
    found = {
        "cpu": cpu or platform.processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{int(memory) / 1024**2:.1f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": _commit(),
        "load before": " ".join(f"{value:.2f}" for value in os.getloadavg()),
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return done.stdout.strip()
