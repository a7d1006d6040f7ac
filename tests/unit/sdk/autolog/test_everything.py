"""`headrace.autolog`: all at once, on and off, before and after their imports."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import headrace
import pytest
from headrace.sdk.autolog import patching
from headrace.sdk.autolog.everything import INTEGRATIONS

from tests.unit.sdk.autolog.logged import runs


def test_importing_headrace_and_turning_autolog_on_imports_no_framework_and_no_pandas() -> None:
    code = (
        "import sys, headrace; headrace.autolog();"
        "print([one for one in ('numpy', 'pandas', 'sklearn', 'keras', 'tensorflow', 'torch', 'xgboost', 'lightgbm')"
        " if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_imported_after_autolog_is_hooked(target: Any) -> None:
    code = (
        f"import headrace; headrace.init({str(target.folder)!r}, record_environment=False); headrace.autolog();"
        "from sklearn.linear_model import LinearRegression;"
        "LinearRegression().fit([[1.0], [2.0], [3.0]], [1.0, 2.0, 3.0])"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    [run] = runs(target)
    assert run.tags["estimator_name"] == "LinearRegression"


def test_disable_takes_everything_away_and_an_excluded_one_is_left_alone() -> None:
    import sklearn.linear_model  # so that there is something to hook

    finders = list(sys.meta_path)
    fit = sklearn.linear_model.Ridge.fit
    headrace.autolog(exclude_flavors=["sklearn"])
    assert patching.patched("sklearn") == []
    headrace.autolog()
    headrace.autolog()
    assert sklearn.linear_model.Ridge.fit is not fit
    headrace.autolog(disable=True)
    assert [patching.patched(name) for name in INTEGRATIONS] == [[]] * len(INTEGRATIONS)
    assert sys.meta_path == finders
    assert sklearn.linear_model.Ridge.fit is fit


def test_an_unknown_flavor_is_named() -> None:
    with pytest.raises(ValueError, match="exclude_flavors"):
        headrace.autolog(exclude_flavors=["fortran"])
