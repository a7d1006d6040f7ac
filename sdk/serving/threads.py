"""The threads a framework gets in a process that serves: few, because it is requests that run side by side."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

THREADS_MAX = 4
_OF_EACH_CALL = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
)


def modest(environ: MutableMapping[str, str] = os.environ) -> None:
    """Say so in the environment, where the user says nothing; to be called before a framework is imported.

    A call gets half the cores, four at most; TensorFlow runs the parts of one call one after the other.
    """
    threads = str(
        max(1, min(THREADS_MAX, len(os.sched_getaffinity(0)) // 2 if hasattr(os, "sched_getaffinity") else 1))
    )
    for name in _OF_EACH_CALL:
        environ.setdefault(name, threads)
    environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
