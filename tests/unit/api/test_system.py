"""How the system stands: lag, rates by samples, storage; also while nothing is logged."""

from __future__ import annotations

from typing import Any

from headrace.api.system import place_of

Server = Any  # the fixture of conftest.py


def told(server: Server) -> Any:
    answer = server.call("GET", "/api/headrace/v1/system")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_each_view_tells_its_lag_and_what_it_holds(server: Server) -> None:
    run_id = server.new_run()
    server.post("runs/log-metric", run_id=run_id, key="loss", value=1.0, timestamp=1, step=0)
    server.wait(server.services.tracking.caught_up())
    found = told(server)
    assert {view["name"]: view["lag"] for view in found["views"]} == {
        "registry": 0,
        "runs": 0,
        "events": 0,
        "metrics": 0,
        "metric_summary": 0,
    }
    rows = {view["name"]: view["rows"] for view in found["views"]}
    assert rows["metrics"] >= 1
    assert found["stored_by"] == "this server"
    assert found["fault"] is None


def test_a_rate_is_what_was_logged_between_samples(server: Server) -> None:
    server.wait(server.services.rates.sample())
    server.clock.advance(10)
    run_id = server.new_run()
    for step in range(20):
        server.post("runs/log-metric", run_id=run_id, key="acc", value=1.0, timestamp=1, step=step)
    server.wait(server.services.tracking.caught_up())
    rate = told(server)["rate"]
    assert rate["over_s"] >= 10
    assert 0 < rate["points_s"] <= 2.1
    assert rate["appended_s"] >= rate["points_s"]


def test_the_log_and_the_views_take_room_and_secrets_are_left_out(server: Server) -> None:
    kept = {one["what"]: one for one in told(server)["storage"]}
    assert kept["log"]["bytes"] > 0
    assert kept["views"]["bytes"] > 0
    assert 0 < told(server)["disk_free"] <= told(server)["disk_total"]
    assert place_of("clickhouse://ada:secret@host:8123/db?password=x", server.folder) == "clickhouse://host:8123/db"
