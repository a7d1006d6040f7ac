"""What a statement may take: time, memory, rows and bytes of its answer, each with the sentence that tells of it."""

from __future__ import annotations

import os
from dataclasses import dataclass

TIMEOUT_S_MAX = 25.0
"""Below the 30 s after which a ClickHouse server that says nothing is given up."""
MEMORY_BYTES = 500_000_000
MEMORY_BYTES_MAX = 1_000_000_000
ROWS_MAX = 1_000_000
RESULT_BYTES_MAX = 256_000_000
RECURSION_MAX = 1000
ARRAY_ITEMS_MAX = 10_000_000
BLOCK_ROWS = 8192
"""The engine looks at the clock between blocks: smaller ones make it look more often."""

_TIMEOUT_CODES = (159, 160)
_MEMORY_CODE = 241
_RESULT_CODE = 396
_DEPTH_CODES = (167, 168, 306)
_PLAN_CODES = (572,)
_CANCELLED_CODE = 394


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one statement; over them it ends with an error, and nothing is cut silently."""

    timeout_s: float = TIMEOUT_S_MAX
    memory_bytes: int = MEMORY_BYTES
    rows: int = ROWS_MAX

    def settings(self, tag: str) -> str:
        """The SETTINGS clause, which no statement can change since it may have none of its own.

        tag: names the query among those that run. Nothing is read or written but tables: readonly.
        """
        values: dict[str, str | int | float] = {
            "max_execution_time": self.timeout_s,
            "timeout_overflow_mode": "'throw'",
            "max_memory_usage": self.memory_bytes,
            "max_result_rows": self.rows,
            "max_result_bytes": RESULT_BYTES_MAX,
            "result_overflow_mode": "'throw'",
            "max_recursive_cte_evaluation_depth": RECURSION_MAX,
            "function_range_max_elements_in_block": ARRAY_ITEMS_MAX,
            "max_block_size": BLOCK_ROWS,
            "max_threads": max(1, (os.cpu_count() or 1) // 2),
            "allow_introspection_functions": 0,
            "log_comment": f"'{tag}'",
            "readonly": 1,
        }
        return "SETTINGS " + ", ".join(f"{name} = {value}" for name, value in values.items())

    def told(self, code: int | None) -> str | None:
        """The sentence for an engine's error that a limit caused, None for another error."""
        if code in _TIMEOUT_CODES:
            return (
                f"the statement ran longer than {self.timeout_s:g} s and was ended; narrow it with WHERE run_id IN"
                " (...) or WHERE key = ..., or take fewer rows"
            )
        if code == _MEMORY_CODE:
            return (
                f"the statement used more than {self.memory_bytes / 1e6:,.0f} MB of memory and was ended; narrow it"
                " with WHERE, or group by fewer keys"
            )
        if code == _RESULT_CODE:
            return (
                f"the answer has more than {self.rows:,} rows or {RESULT_BYTES_MAX / 1e6:,.0f} MB, and nothing is cut"
                " silently; aggregate, add WHERE or LIMIT, or read a part at a time"
            )
        if code in _DEPTH_CODES:
            return "the statement is nested too deep, or recurs without end; make it flatter"
        if code in _PLAN_CODES:
            return "the statement has too many parts for the engine's plan; make it smaller"
        return None
