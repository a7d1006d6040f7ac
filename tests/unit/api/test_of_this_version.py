"""A server on a folder of an earlier version folds its views anew from the log."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from headrace.api.main import _of_this_version
from headrace.ingest import events
from headrace.ingest.codec import encode_event, type_of
from headrace.ingest.envelope import Envelope
from headrace.ingest.sqlite import SqliteLog
from headrace.processors.engine import fold_to_end
from headrace.processors.views import WrongSchema, embedded


def test_views_of_another_version_are_made_anew_with_all_that_was_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    created = events.RunCreated("0", 1, params={"lr": "0.1"})
    envelope = Envelope("1", type_of(created), "api", "run-1", 1, encode_event(created))
    with closing(SqliteLog(tmp_path / "log.db")) as log, closing(embedded(tmp_path / "views")) as views:
        log.append([envelope])
        fold_to_end(log, views, 30)
        views.command("ALTER TABLE runs DROP COLUMN forked_from")
        views.command("ALTER TABLE runs MODIFY COMMENT 'headrace schema 00000000'")
        with pytest.raises(WrongSchema):
            views.check_schema()

        _of_this_version(views)

        assert "they are folded anew from the log" in capsys.readouterr().err
        views.check_schema()
        assert views.rows("SELECT count() FROM runs") == [(0,)]
        fold_to_end(log, views, 30)
        assert views.rows("SELECT run_id, params FROM runs") == [("run-1", {"lr": "0.1"})]


def test_views_of_this_version_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(embedded(tmp_path / "views")) as views:
        views.command("INSERT INTO runs (run_id) VALUES ('kept')")
        _of_this_version(views)
        assert views.rows("SELECT run_id FROM runs") == [("kept",)]
    assert capsys.readouterr().err == ""
