"""Programs that never handle a data frame do without pandas: it costs a second and 60 MB."""

from __future__ import annotations

import subprocess
import sys

import pytest

USED = """
import sys
import {program}
from headrace.processors.without_pandas import refuse_pandas
assert "pandas" not in sys.modules, "imported with the program"
refuse_pandas()
import pyarrow
pyarrow.array([1.0]).to_numpy()
assert "pandas" not in sys.modules
"""


@pytest.mark.parametrize("program", ["headrace.processors.main", "headrace.api.main"])
def test_a_program_neither_imports_pandas_nor_lets_pyarrow_do_so(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", USED.format(program=program)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
