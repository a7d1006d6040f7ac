from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import headrace
import pytest
from headrace.ingest import events, points
from headrace.ingest.limits import experiment_id_of


def logged(target: Any) -> dict[tuple[str, str], list[tuple[int, float]]]:
    found: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for envelope in target.envelopes("metrics"):
        for row in points.decode(envelope.data).to_pylist():
            found.setdefault((envelope.subject, row["key"]), []).append((row["step"], row["value"]))
    return found


def of_type(target: Any, kind: type) -> list[Any]:
    return [event for _, event in target.events() if isinstance(event, kind)]


def test_a_run_is_created_logged_to_and_ended(target: Any) -> None:
    headrace.set_experiment("first")
    with headrace.start_run(run_name="one", tags={"a": 1}, description="what") as run:
        assert headrace.active_run() is run
        headrace.log_params({"lr": 0.1, "layers": [1, 2]})
        headrace.log_metric("loss", 0.5, step=3)
        headrace.log_metrics({"a/b": 1, "nan": math.nan})
        headrace.set_tag("stage", "x")
        headrace.delete_tag("stage")
    assert headrace.active_run() is None
    assert headrace.last_active_run() is run
    assert headrace.flush(10)
    [created] = of_type(target, events.RunCreated)
    assert created.experiment_id == experiment_id_of("first") == run.info.experiment_id
    assert created.tags["mlflow.runName"] == created.name == "one"
    assert created.tags["a"] == "1"
    assert created.tags["mlflow.note.content"] == "what"
    assert {"mlflow.user", "mlflow.source.name", "mlflow.source.type", "headrace.host"} <= created.tags.keys()
    assert of_type(target, events.AttributesLogged)[0].params == {"lr": "0.1", "layers": "[1, 2]"}
    assert of_type(target, events.TagsDeleted) == [events.TagsDeleted(["stage"])]
    assert [ended.status for ended in of_type(target, events.RunEnded)] == ["FINISHED"]
    found = logged(target)
    assert found[run.info.run_id, "loss"] == [(3, 0.5)]
    assert found[run.info.run_id, "a/b"] == [(0, 1.0)]
    assert math.isnan(found[run.info.run_id, "nan"][0][1])
    [(subject, experiment)] = target.events("registry")
    assert (subject, experiment.name, experiment.if_absent) == (run.info.experiment_id, "first", True)


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_an_exception_ends_the_run_as_what_it_was(target: Any, error: type[BaseException], status: str) -> None:
    with pytest.raises(error), headrace.start_run():
        raise error
    assert headrace.flush(10)
    assert [ended.status for ended in of_type(target, events.RunEnded)] == [status]


def test_a_second_run_must_be_nested_and_knows_its_parent(target: Any) -> None:
    with headrace.start_run() as parent:
        with pytest.raises(headrace.RunActive, match="nested=True"):
            headrace.start_run()
        with headrace.start_run(nested=True) as child:
            assert headrace.active_run() is child
        assert headrace.active_run() is parent
    assert headrace.flush(10)
    assert of_type(target, events.RunCreated)[1].tags["mlflow.parentRunId"] == parent.info.run_id


def test_a_run_is_resumed_by_id_and_by_environment(target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with headrace.start_run(run_id="abc") as run:
        assert run.info.run_id == "abc"
    monkeypatch.setenv("MLFLOW_RUN_ID", "def")
    with headrace.start_run() as run:
        assert run.info.run_id == "def"
    with headrace.start_run() as run:
        assert run.info.run_id not in ("abc", "def")
    with pytest.raises(ValueError, match="cannot be a run's id"):
        headrace.start_run(run_id="../up")
    assert headrace.flush(10)
    assert len(of_type(target, events.RunResumed)) == 2
    assert len(of_type(target, events.RunCreated)) == 1


class Scalar:
    """Like a tensor with one element."""

    def __float__(self) -> float:
        return 2.5


class Hostile:
    def __float__(self) -> float:
        raise RuntimeError("no")

    def __str__(self) -> str:
        raise RuntimeError("no")


def test_wrong_values_warn_and_never_raise(target: Any, caplog: pytest.LogCaptureFixture) -> None:
    with headrace.start_run() as run:
        headrace.log_metric("scalar", Scalar())  # type: ignore[arg-type]
        for value in ("0.5", None, [1, 2], Hostile(), 1j, 10**400):
            headrace.log_metric("bad", value)  # type: ignore[arg-type]
        for key in ("", "a//b", "../x", "x" * 300, "quote'", "new\x00", None, 3.5):
            headrace.log_metric(key, 1.0)  # type: ignore[arg-type]
        headrace.log_metric("steps", 1.0, step="x")  # type: ignore[arg-type]
        headrace.log_metric("steps", 1.0, step=2**64)
        headrace.log_metric("steps", 1.0, step=-5)
        headrace.log_metrics(None)  # type: ignore[arg-type]
        headrace.log_params(3)  # type: ignore[arg-type]
        headrace.log_param("hostile", Hostile())
        headrace.log_param("long", "x" * 10_000)
        headrace.set_tag("surrogate", "a\ud800b")
        headrace.set_tags(None)  # type: ignore[arg-type]
    assert headrace.flush(10)
    found = logged(target)
    run_id = run.info.run_id
    assert found[run_id, "scalar"] == [(0, 2.5)]
    assert (run_id, "bad") not in found
    assert found[run_id, "steps"] == [(-5, 1.0)]
    params = {key: value for event in of_type(target, events.AttributesLogged) for key, value in event.params.items()}
    assert params == {"hostile": "<Hostile>", "long": "x" * 6000}
    assert "was cut" in caplog.text
    assert caplog.text.count("a value of the metric 'bad' was dropped") == 1


def test_a_changed_param_keeps_its_first_value_with_a_warning(target: Any, caplog: pytest.LogCaptureFixture) -> None:
    with headrace.start_run():
        headrace.log_param("p", 1)
        headrace.log_param("p", 1)
        headrace.log_param("p", 2)
    assert headrace.flush(10)
    assert all(event.params == {"p": "1"} for event in of_type(target, events.AttributesLogged))
    assert "keeps its value '1'" in caplog.text


def test_threads_have_runs_of_their_own_and_lose_nothing(target: Any) -> None:
    with headrace.start_run() as shared:

        def work(number: int) -> None:
            assert headrace.active_run() is None
            for step in range(500):
                headrace.log_metric(f"t{number}", float(step), step, run_id=shared.info.run_id)
            with headrace.start_run(run_name=f"thread {number}"):
                headrace.log_metric("own", float(number))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert headrace.flush(20)
    found = logged(target)
    for number in range(8):
        assert found[shared.info.run_id, f"t{number}"] == [(step, float(step)) for step in range(500)]
    assert sum(len(values) for (_, key), values in found.items() if key == "own") == 8
    assert len(of_type(target, events.RunCreated)) == 9


def test_a_log_call_without_a_run_starts_one(target: Any) -> None:
    headrace.log_metric("m", 1.0)
    run = headrace.active_run()
    assert run is not None
    headrace.end_run("KILLED")
    assert headrace.flush(10)
    assert [ended.status for ended in of_type(target, events.RunEnded)] == ["KILLED"]
    with pytest.raises(ValueError, match="is none of"):
        headrace.end_run("DONE")


def test_another_target_gets_what_is_logged_after_it_was_set(target: Any, tmp_path: Path) -> None:
    with headrace.start_run():
        headrace.log_metric("m", 1.0)
    headrace.set_tracking_uri(tmp_path / "other")
    with headrace.start_run():
        headrace.log_metric("m", 2.0)
    assert headrace.flush(10)
    assert list(logged(target).values()) == [[(0, 1.0)]]
    assert list(logged(type(target)(tmp_path / "other")).values()) == [[(0, 2.0)]]


def test_every_public_name_is_there_and_documented() -> None:
    for name in headrace.__all__:
        assert name.startswith("__") or getattr(headrace, name).__doc__, name


def test_importing_headrace_leaves_the_slow_packages_for_later() -> None:
    script = "import sys, headrace; print([m for m in ('pandas', 'pyarrow', 'httpx', 'numpy') if m in sys.modules])"
    environ = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environ)
    assert done.stdout.strip() == "[]"
