"""The tree holds to its own rules: who imports whom, what is packaged, what is documented."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from headrace.api.app import ROUTERS, create_app
from headrace.api.settings import Settings
from headrace.ingest import events, points
from headrace.ingest.memory import MemoryLog
from headrace.processors.views import Views
from msgspec.structs import fields

ROOT = Path(__file__).parents[2]
PARTS = ("ingest", "processors", "api", "sdk")
MAY_IMPORT = {
    "ingest": {"ingest"},
    "processors": {"processors", "ingest"},
    "sdk": {"sdk", "ingest"},
    "api": {"api", "ingest", "processors", "sdk"},
}
SERVER_EXTRA = ROOT / "sdk" / "cli"
"""Its commands may import the server, inside a function, where the extra is installed."""


def sources(part: str) -> list[Path]:
    return sorted((ROOT / part).rglob("*.py"))


def imported(file: Path) -> Iterator[tuple[str, bool]]:
    """Our parts that a file imports while it runs, and whether at its top."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    top = {node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)} - {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    }
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: a relative import"
            names = [node.module or ""]
            if node.module == "headrace":
                names = [f"headrace.{alias.name}" for alias in node.names]
        for name in names:
            if name.startswith("headrace."):
                yield name.split(".")[1], node in top


@pytest.mark.parametrize("part", PARTS)
def test_each_part_imports_only_what_lies_below_it(part: str) -> None:
    wrong = []
    for file in sources(part):
        for found, top in imported(file):
            lazily = SERVER_EXTRA in file.parents and not top and found in ("api", "processors")
            if found in PARTS and found not in MAY_IMPORT[part] and not lazily:
                wrong.append(f"{file.relative_to(ROOT)} imports {found}")
    assert wrong == []


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_package_on_disk_is_packaged_and_no_other() -> None:
    tool = project()["tool"]["setuptools"]
    on_disk = {"headrace"}
    for part in PARTS:
        for file in (ROOT / part).rglob("__init__.py"):
            name = ".".join(["headrace", *file.parent.relative_to(ROOT).parts])
            on_disk |= {name} - {"headrace.sdk.root"}
    assert set(tool["packages"]) == on_disk
    assert set(tool["package-dir"]) == {"headrace", *(f"headrace.{part}" for part in PARTS)}


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {file.parent for part in PARTS for file in sources(part)}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize("name", ["__init__.py", *PARTS])
def test_the_type_checkers_links_lead_here(name: str) -> None:
    link = ROOT / ".dev" / "headrace" / name
    assert link.is_symlink()
    assert not Path(link.readlink()).is_absolute()
    assert link.resolve() == (ROOT / "sdk" / "root" / name if name == "__init__.py" else ROOT / name)


def public(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Public functions and classes of a module."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node


@pytest.mark.parametrize("part", PARTS)
def test_modules_and_public_functions_and_classes_say_what_they_are_for(part: str) -> None:
    silent = []
    for file in sources(part):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        if not ast.get_docstring(tree):
            silent.append(f"{file.relative_to(ROOT)}")
        for node in public(tree):
            data = isinstance(node, ast.ClassDef) and all(isinstance(x, ast.AnnAssign | ast.Pass) for x in node.body)
            if not ast.get_docstring(node) and not data:
                silent.append(f"{file.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert silent == []


def rows(page: str) -> list[str]:
    """The table rows of a page of the reference."""
    text = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.startswith("| ")]


def test_every_event_type_is_documented_with_every_field() -> None:
    documented = {m[1]: row for row in rows("events.md") if (m := re.match(r"\| `(headrace\.[^`]+)`", row))}
    assert set(documented) == {*events.TYPES, events.METRICS_LOGGED}
    for kind, struct in events.TYPES.items():
        shown = re.findall(r"`(\w+)`", documented[kind].split("|")[2])
        assert shown == [field.encode_name for field in fields(struct)], kind
    for name in (*points.REQUIRED, *points.OPTIONAL):
        assert f"`{name}`" in documented[events.METRICS_LOGGED]


def test_every_route_is_documented_and_no_other(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path), MemoryLog(), cast("Views", None))
    served = {
        (method, route.path)
        for route in (*app.routes, *(route for router in ROUTERS for route in router.routes))
        for method in getattr(route, "methods", None) or ()
        if method != "HEAD" and hasattr(route, "path")
    }
    documented = {m.groups() for row in rows("rest.md") if (m := re.match(r"\| `([A-Z]+)` \| `([^`]+)` \| \S", row))}
    mirrored = {(method, path.replace("/api/", "/ajax-api/", 1)) for method, path in documented}
    assert {x for x in served if not x[1].startswith("/ajax-api/")} == documented
    assert {("GET", path) for path in app.openapi()["paths"]} <= {
        ("GET", path.replace(":path}", "}")) for _, path in documented
    }
    text = (ROOT / "docs" / "reference" / "rest.md").read_text(encoding="utf-8")
    alone = {x for x in served if x[1].startswith("/ajax-api/")} - mirrored
    assert {path for _, path in alone if f"`{path}`" not in text} == set()
