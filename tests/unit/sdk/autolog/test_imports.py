"""Calls back when modules come, whenever they come."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from headrace.sdk.autolog import imports


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package that nobody has imported, with one module below it."""
    name = "a_package_of_this_test"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("VALUE = 1\n")
    (folder / "below.py").write_text("VALUE = 2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    imports.forget("test")
    for module in [one for one in sys.modules if one.startswith(name)]:
        del sys.modules[module]


def test_a_module_that_is_there_is_called_back_for_at_once_and_one_that_comes_after_its_import(package: str) -> None:
    seen: list[tuple[str, int]] = []

    def callback(module: ModuleType) -> None:
        seen.append((module.__name__, module.VALUE))

    imports.when_imported(package, "test", callback)
    imports.when_imported(f"{package}.", "test", callback)
    assert seen == []
    module = importlib.import_module(f"{package}.below")
    assert seen == [(package, 1), (f"{package}.below", 2)]
    assert "exec_module" not in module.__spec__.loader.__dict__  # type: ignore[union-attr]
    imports.when_imported(package, "test", callback)
    assert seen[2:] == [(package, 1)]


def test_what_is_forgotten_is_not_called_back_and_the_finder_goes(package: str) -> None:
    finders = list(sys.meta_path)
    imports.when_imported(package, "test", lambda module: pytest.fail("called back"))
    assert sys.meta_path != finders
    imports.forget("test")
    assert sys.meta_path == finders
    importlib.import_module(package)


def test_a_callback_that_fails_does_not_fail_the_import(package: str, caplog: pytest.LogCaptureFixture) -> None:
    def callback(module: ModuleType) -> None:
        raise RuntimeError("no")

    imports.when_imported(package, "test", callback)
    assert importlib.import_module(package).VALUE == 1
    assert "was not set up" in caplog.text
