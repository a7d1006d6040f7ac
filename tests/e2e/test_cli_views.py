"""`headrace views` against a server: what it makes is what the views need, and every fault is one line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from headrace.processors.schema import tables
from headrace.processors.views import server

from tests.clickhouse_server import ClickHouse

pytestmark = pytest.mark.e2e


def headrace(*arguments: str, code: int = 0, stdin: str = "", **environ: str) -> str:
    """What the command said on stderr, or else printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    command = [sys.executable, "-m", "headrace.sdk.cli.main", "views", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, input=stdin, env={**kept, **environ}, timeout=60, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    return done.stderr.strip() or done.stdout


def test_create_check_and_drop(clickhouse: ClickHouse) -> None:
    url = clickhouse.url()
    said = headrace("check", "--views", url, code=1)
    assert "has no database" in said
    assert f"run `headrace views create --views '{url}'`" in said
    for _ in range(2):
        assert headrace("create", "--views", url).startswith("The views are ready in the database ")
    assert headrace("check", HEADRACE_VIEWS=url).endswith("are as this version has them.")
    views = server(url)
    try:
        views.command("ALTER TABLE metrics ADD COLUMN later UInt8")
        assert "made by another version of headrace; run `headrace rebuild`" in headrace(
            "check", "--views", url, code=1
        )
        assert "another version" in headrace("create", "--views", url, code=1)
        headrace("drop", "--views", url, code=1, stdin="n\n")
        assert len(views.rows("SHOW TABLES")) == len(tables())
        assert headrace("drop", "--views", url, "--yes").endswith("are dropped.")
        assert views.rows("SHOW TABLES") == []
    finally:
        views.close()


def test_print_shows_statements_and_asks_no_server() -> None:
    url = "clickhouse://no-such-host.invalid/db"
    printed = headrace("create", "--views", url, "--cluster", "c", "--sharded", "--print")
    assert printed.count("CREATE TABLE IF NOT EXISTS `db`.") == 2 * len(tables())
    assert printed.count("ON CLUSTER 'c'") == 1 + 2 * len(tables())
    assert printed == headrace("create", "--views", f"{url}?cluster=c&sharded=1", "--print")
    assert "ON CLUSTER" not in headrace("create", "--views", url, "--print")
    assert headrace("drop", "--views", url, "--print").count("DROP TABLE IF EXISTS `db`.") == len(tables())


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("views", "the views URL begins with nothing://; write clickhouse://host/database"),
        ("clickhouse://127.0.0.1:1/db", "cannot be reached; start it, or correct the views URL"),
        ("clickhouse://host/db?sharded=1", "add cluster=NAME to the views URL"),
    ],
)
def test_a_wrong_url_is_one_line(url: str, said: str) -> None:
    line = headrace("create", "--views", url, code=1)
    assert said in line
    assert len(line.splitlines()) == 1
