"""Forks, exits and exceptions, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from headrace.ingest import events, points
from headrace.ingest.codec import decode_event
from headrace.ingest.envelope import Envelope
from headrace.ingest.log import Partition
from headrace.ingest.sqlite import SqliteLog


def run(tmp_path: Path, script: str, **environ: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "script.py").write_text(script)
    return subprocess.run(
        [sys.executable, "-W", "ignore", str(tmp_path / "script.py")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env={
            **os.environ,
            "HEADRACE_TRACKING_URI": str(tmp_path / "data"),
            "HEADRACE_SPOOL_DIR": str(tmp_path / "spool"),
            "HEADRACE_RECORD_ENVIRONMENT": "0",
            "HEADRACE_FLUSH_INTERVAL_S": "0.02",
            **environ,
        },
    )


def log_of(tmp_path: Path, topic: str) -> list[Envelope]:
    log = SqliteLog(tmp_path / "data" / "log.db")
    try:
        return [record.envelope for record in log.read(Partition(topic, 0), 0, 10**6, 2**40)]
    finally:
        log.close()


def values(tmp_path: Path) -> list[float]:
    return sorted(v for e in log_of(tmp_path, "metrics") for v in points.decode(e.data)["value"].to_pylist())


def ends(tmp_path: Path) -> list[str]:
    decoded = map(decode_event, log_of(tmp_path, "runs"))
    return [event.status for event in decoded if isinstance(event, events.RunEnded)]


def assert_contiguous(tmp_path: Path) -> None:
    for topic in ("runs", "metrics", "registry"):
        of_writer: dict[tuple[str, str], list[int]] = {}
        for envelope in log_of(tmp_path, topic):
            if envelope.writer:
                of_writer.setdefault((envelope.writer, envelope.subject), []).append(envelope.sequence)
        for sequences in of_writer.values():
            assert sequences == list(range(1, len(sequences) + 1))


@pytest.mark.parametrize("leave", ["os._exit(0)", "sys.exit(0)"])
def test_a_forked_child_logs_to_its_parents_run_and_does_not_end_it(tmp_path: Path, leave: str) -> None:
    script = f"""
import os, sys, headrace
with headrace.start_run():
    for i in range(1000): headrace.log_metric("m", float(i), i)
    pid = os.fork()
    if pid == 0:
        for i in range(1000, 2000): headrace.log_metric("m", float(i), i)
        headrace.flush(10)
        {leave}
    assert os.waitpid(pid, 0)[1] == 0
    for i in range(2000, 3000): headrace.log_metric("m", float(i), i)
"""
    done = run(tmp_path, script)
    assert done.returncode == 0, done.stderr
    assert values(tmp_path) == [float(value) for value in range(3000)]
    assert ends(tmp_path) == ["FINISHED"]
    assert len({e.writer for e in log_of(tmp_path, "metrics")}) == 2
    assert_contiguous(tmp_path)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_flush_at_their_end(tmp_path: Path, method: str) -> None:
    script = f"""
import multiprocessing, headrace
def work(run_id, number):
    for i in range(100): headrace.log_metric("m", float(number * 100 + i), i, run_id=run_id)
if __name__ == "__main__":
    with headrace.start_run() as run:
        context = multiprocessing.get_context({method!r})
        children = [context.Process(target=work, args=(run.info.run_id, n)) for n in range(3)]
        for child in children: child.start()
        for child in children: child.join()
        assert all(child.exitcode == 0 for child in children)
"""
    done = run(tmp_path, script)
    assert done.returncode == 0, done.stderr
    assert values(tmp_path) == [float(value) for value in range(300)]
    assert ends(tmp_path) == ["FINISHED"]
    assert list((tmp_path / "spool").iterdir()) == []


def test_an_uncaught_exception_ends_the_run_as_failed(tmp_path: Path) -> None:
    done = run(tmp_path, "import headrace\nheadrace.start_run()\nheadrace.log_metric('m', 1.0)\n1 / 0")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert ends(tmp_path) == ["FAILED"]


def test_a_program_that_just_ends_has_its_run_finished_and_everything_shipped(tmp_path: Path) -> None:
    done = run(tmp_path, "import headrace\nheadrace.start_run()\nheadrace.log_metric('m', 1.0)")
    assert (done.returncode, done.stderr) == (0, "")
    assert ends(tmp_path) == ["FINISHED"]
    assert values(tmp_path) == [1.0]
    assert list((tmp_path / "spool").iterdir()) == []


def test_exit_with_a_dead_server_is_bounded_and_says_what_stays(tmp_path: Path) -> None:
    script = "import headrace, time\nwith headrace.start_run(): headrace.log_metric('m', 1.0)"
    done = run(tmp_path, script, HEADRACE_TRACKING_URI="http://127.0.0.1:9", HEADRACE_EXIT_TIMEOUT_S="0.3")
    assert done.returncode == 0
    assert "4 events" in done.stderr
    assert "headrace sync" in done.stderr
    [writer] = (tmp_path / "spool").iterdir()
    assert (writer / "meta.json").exists()


def test_what_is_printed_is_kept_with_the_run_and_still_printed(tmp_path: Path) -> None:
    script = """
import sys, headrace
with headrace.start_run(capture_console=True):
    print("to out"); print("to err", file=sys.stderr); print("ü" * 100_000)
assert type(sys.stdout).__name__ == "TextIOWrapper"
print("after")
"""
    done = run(tmp_path, script)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "to out\n" + "ü" * 100_000 + "\nafter\n"
    assert done.stderr == "to err\n"
    written = [e for e in map(decode_event, log_of(tmp_path, "runs")) if isinstance(e, events.ConsoleWritten)]
    assert "".join(e.text for e in written if e.stream == "stdout") == "to out\n" + "ü" * 100_000 + "\n"
    assert "".join(e.text for e in written if e.stream == "stderr") == "to err\n"
    assert all(len(e.text.encode()) <= 64 * 1024 for e in written)


def test_git_facts_follow_in_the_background(tmp_path: Path) -> None:
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@e", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q", "-b", "trunk"], check=True)
    subprocess.run([*git, "remote", "add", "origin", "https://me:secret@host/x.git"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "m"], check=True)
    done = run(tmp_path, "import headrace\nwith headrace.start_run(): pass", HEADRACE_RECORD_ENVIRONMENT="1")
    assert done.returncode == 0, done.stderr
    tags: dict[str, str] = {}
    for event in map(decode_event, log_of(tmp_path, "runs")):
        if isinstance(event, events.AttributesLogged | events.RunCreated):
            tags |= event.tags
    assert len(tags["mlflow.source.git.commit"]) == 40
    assert tags["mlflow.source.git.branch"] == "trunk"
    assert tags["mlflow.source.git.repoURL"] == "https://host/x.git"
    assert tags["mlflow.source.git.dirty"] == "false"
    [requirements] = (tmp_path / "data" / "artifacts").rglob("requirements.txt")
    assert "msgspec==" in requirements.read_text()
