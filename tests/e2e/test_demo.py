"""The demo as a person runs it: real trainings on a real server, every point counted, no process left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.e2e
pytest.importorskip("chdb")
pytest.importorskip("sklearn")

DEMO = [sys.executable, "-m", "headrace.sdk.cli.main", "demo", "--no-open", "--port", "0"]


def environ(folder: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HEADRACE_", "MLFLOW_"))}
    # What would lead a careless training astray.
    astray = {"HEADRACE_OFFLINE": "1", "MLFLOW_RUN_ID": "0" * 32, "HEADRACE_TRACKING_URI": "http://127.0.0.1:9"}
    return {**kept, **astray, "XDG_CONFIG_HOME": str(folder / "config"), "XDG_STATE_HOME": str(folder / "state")}


class Demo:
    """A demo's process. until: read its stderr up to a line with this text."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.data_dir = folder / "demo"
        command = [*DEMO, "--data-dir", str(self.data_dir), *arguments]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ(folder)
        )
        self.said: list[str] = []

    def until(self, text: str) -> str:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if text in line:
                return line
        raise AssertionError("".join(self.said))

    def descendants(self) -> list[psutil.Process]:
        """The server and the trainings."""
        found: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return found

    def training(self) -> psutil.Process:
        """The next training that it starts."""
        return psutil.Process(int(self.until("started as process ").split()[-1]))

    def finish(self) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        out, err = self.process.communicate(timeout=120)
        return self.process.returncode, out, "".join(self.said) + err


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=20)[1]


def test_every_run_is_finished_and_every_point_read_back(tmp_path: Path) -> None:
    demo = Demo(tmp_path, "--runs", "4", "--pace", "0", "--exit-when-done")
    code, out, err = demo.finish()
    assert code == 0, err
    assert "4 of 4 runs are FINISHED; 3,200 points logged, 3,200 read back" in err
    header, *rows = [line.split("\t") for line in out.splitlines()]
    assert header[:4] == ["run", "experiment", "status", "val_accuracy"]
    assert [row[2] for row in rows] == ["FINISHED"] * 4
    accuracies = [float(row[3]) for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    assert min(accuracies) > 0.6, "these are real models, and they learn"
    assert not list((demo.data_dir / "spool").iterdir())


def test_a_training_that_dies_is_reported_and_the_page_stays_until_ctrl_c(tmp_path: Path) -> None:
    demo = Demo(tmp_path, "--runs", "2", "--pace", "3")
    url = demo.until("Headrace is on ").split()[-1]
    demo.training().kill()
    demo.until("was ended by signal 9")
    demo.until("1 of 2 runs are FINISHED")
    demo.until("until you press Ctrl-C")
    with urllib.request.urlopen(f"{url}/health") as answer:
        assert answer.read() == b"OK"
    left = demo.descendants()
    demo.process.send_signal(signal.SIGINT)
    code, _, _ = demo.finish()
    assert code == 128 + signal.SIGINT
    assert gone(left)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_leaves_no_process_behind(tmp_path: Path, number: signal.Signals) -> None:
    demo = Demo(tmp_path, "--runs", "2", "--pace", "60")
    demo.until("Headrace is on ")
    trainings = [demo.training(), demo.training()]
    left = demo.descendants()
    assert len(left) == 3
    assert set(trainings) < set(left)
    demo.process.send_signal(number)
    code, _, err = demo.finish()
    assert code == 128 + number
    assert "Traceback" not in err
    assert gone(left)


def test_a_taken_port_is_said_and_a_free_one_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        demo = Demo(tmp_path, "--port", str(port), "--runs", "1", "--pace", "0")
        assert f"port {port}" in demo.until("taking a free one")
        url = demo.until("Headrace is on ").split()[-1]
        assert not url.endswith(f":{port}")
        demo.until("until you press Ctrl-C")
        demo.process.send_signal(signal.SIGTERM)
        assert demo.finish()[0] == 0, "all was read back before it was stopped"


def test_a_data_folder_in_use_is_one_clear_line(tmp_path: Path) -> None:
    first = Demo(tmp_path, "--runs", "1", "--pace", "60")
    url = first.until("Headrace is on ").split()[-1]
    second = Demo(tmp_path, "--runs", "1", "--pace", "0", "--exit-when-done")
    code, out, err = second.finish()
    assert code == 1
    assert out == ""
    assert url in err
    assert len(err.splitlines()) == 1
    assert json.loads((first.data_dir / "server.json").read_text())["url"] == url
    watched = threading.Thread(target=first.finish)
    first.process.send_signal(signal.SIGTERM)
    watched.start()
    watched.join(60)
    assert first.process.returncode == 128 + signal.SIGTERM
