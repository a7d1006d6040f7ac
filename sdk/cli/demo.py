"""`headrace demo`: a server, several small real trainings in parallel processes, and the page to watch them on."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import click
from headrace.sdk import reader as reading
from headrace.sdk.cli.demo_training import Training, trainings
from headrace.sdk.cli.output import Failed, duration, messages, print_rows, say
from headrace.sdk.cli.server import SERVER_PACKAGES, require
from headrace.sdk.fluent import init
from headrace.sdk.reader import ReadFailed
from headrace.sdk.run import Run
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

PARALLEL_MAX = 8
STOP_TIMEOUT_S = 15.0


class Stopped(BaseException):
    """Ctrl-C or SIGTERM; signal_number says which. No Exception: nothing on the way may take it for a failure."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


@dataclass(slots=True)
class Worker:
    """One training's process, and what it has told. run_id is None until it has ended well."""

    training: Training
    process: subprocess.Popen[str]
    errors: Path
    run_id: str | None = None
    points: dict[str, int] = field(default_factory=dict)

    def failure(self) -> str | None:
        """Why it failed, with the end of what it printed; None when it has not."""
        code = self.process.poll()
        if code == 0 and self.run_id is not None:
            return None
        ended = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
        lines = self.errors.read_text("utf-8", "replace").strip().splitlines() if self.errors.exists() else []
        return f"{ended}: {lines[-1]} (all of it in {self.errors})" if lines else ended


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address the server listens on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=5000, show_default=True, help="Its port, or a free one if taken."
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("headrace-demo"),
    show_default=True,
    help="The folder that everything is kept in.",
)
@click.option(
    "--runs", "count", type=click.IntRange(1, 1000), default=6, show_default=True, help="How many models to train."
)
@click.option(
    "--pace", "pace_s", type=click.FloatRange(0), default=12.0, show_default=True,
    help="Stretch each training to so many seconds, to watch it; 0 trains at full speed.",
)  # fmt: skip
@click.option("--exit-when-done", "--no-serve", "exit_when_done", is_flag=True, help="Do not keep the page open.")
@click.option("--open/--no-open", "open_page", default=None, help="Open the page in a browser, or not.")
def demo(
    host: str, port: int, data_dir: Path, count: int, pace_s: float, exit_when_done: bool, open_page: bool | None
) -> None:
    """Start a server, train several small real models in parallel processes, and keep the page open until Ctrl-C.

    The exit code is 0 only if every run is FINISHED on the server and every point that was logged was read back.
    """
    require("demo", (*SERVER_PACKAGES, "sklearn"), "the demo")
    stopped: Stopped | None = None
    good = False
    with _signals():
        workers: list[Worker] = []
        server: subprocess.Popen[str] | None = None
        try:
            server = _start_server(host, _free(host, port), data_dir)
            url = _url_of(server, data_dir)
            say(f"Headrace is on {url}")
            if open_page or (open_page is None and not exit_when_done and _has_screen()):
                webbrowser.open(url)
            spool_dir = data_dir.resolve() / "spool"
            _train(trainings(count, pace_s, url, str(spool_dir)), workers, data_dir)
            good = _report(workers, url, spool_dir)
            if not exit_when_done:
                say(f"The page is on {url} until you press Ctrl-C")
                code = server.wait()
                raise Failed(f"the server ended with exit code {code}; {data_dir / 'server.err'} says why")
        except Stopped as signalled:
            stopped = signalled
        finally:
            # A second Ctrl-C must not leave processes behind; what follows is bounded.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            _stop([worker.process for worker in workers])
            _stop([server] if server is not None else [])
    if not good:
        raise click.exceptions.Exit(1 if stopped is None else 128 + stopped.signal_number)


@contextmanager
def _signals() -> Iterator[None]:
    """SIGINT and SIGTERM raise Stopped."""

    def stop(number: int, frame: Any) -> None:
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --- the server -------------------------------------------------------------------------------------------------------


def _free(host: str, port: int) -> int:
    """The port, or 0 when it is taken."""
    if port == 0:
        return 0
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            say(f"port {port} of {host} cannot be used ({error.strerror}); taking a free one")
            return 0
    return port


def _start_server(host: str, port: int, data_dir: Path) -> subprocess.Popen[str]:
    data_dir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "headrace.api.main", "--host", host, "--port", str(port)]
    with (data_dir / "server.err").open("a") as errors:  # it may be another server's, which still runs
        # In a session of its own: Ctrl-C ends the trainings first, then the server.
        return subprocess.Popen(
            [*command, "--data-dir", str(data_dir)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )


def _url_of(server: subprocess.Popen[str], data_dir: Path) -> str:
    """Where the server says it is, once it is ready. Raises Failed with its own words when it does not start."""
    assert server.stdout is not None
    for line in server.stdout:
        if line.startswith("Headrace is on "):
            return line.removeprefix("Headrace is on ").split(",")[0]
    code = server.wait()
    errors = data_dir / "server.err"
    said = errors.read_text("utf-8", "replace").strip().splitlines()
    if code == 1 and said and said[-1].startswith("headrace: "):
        raise Failed(said[-1].removeprefix("headrace: "))
    raise Failed(f"the server ended with exit code {code} before it was ready; {errors} says why")


def _has_screen() -> bool:
    return sys.stdout.isatty() and (sys.platform == "darwin" or bool(os.environ.get("DISPLAY")))


def _stop(processes: list[subprocess.Popen[str]]) -> None:
    """End processes: politely, then not."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


# --- the trainings ----------------------------------------------------------------------------------------------------


def _train(wanted: list[Training], workers: list[Worker], data_dir: Path) -> None:
    """Run the trainings, several at once, and show how they go. The workers are added as they start."""
    told: queue.Queue[tuple[Worker, dict[str, Any] | None]] = queue.Queue()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[score]}"),
        TimeElapsedColumn(),
    )
    waiting = list(wanted)
    running: dict[int, TaskID] = {}
    with Progress(*columns, console=messages()) as progress:
        while waiting or running:
            while waiting and len(running) < PARALLEL_MAX:
                worker = _start_worker(waiting.pop(0), len(workers), data_dir)
                workers.append(worker)
                label = f"{worker.training.experiment} · {worker.training.name}"
                running[id(worker)] = progress.add_task(label, total=worker.training.steps, score="starting")
                if not progress.console.is_terminal:  # a log shows no bars
                    say(f"{label}: started as process {worker.process.pid}")
                threading.Thread(target=_listen, args=(worker, told), daemon=True).start()
            worker, message = told.get()
            task = running[id(worker)]
            if message is None:
                worker.process.wait()
                del running[id(worker)]
                failure = worker.failure()
                if failure is not None:
                    progress.update(task, score="[red]failed")
                    progress.console.print(f"{worker.training.name} {failure}", markup=False, soft_wrap=True)
            elif "step" in message:
                score = f"{worker.training.score} {message['score']:.3f}"
                progress.update(task, completed=message["step"], score=score)
            elif "run_id" in message:
                worker.run_id, worker.points = message["run_id"], message["points"]


def _start_worker(training: Training, number: int, data_dir: Path) -> Worker:
    errors = data_dir.resolve() / f"training-{number}.err"
    with errors.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "headrace.sdk.cli.demo_training", training.to_json()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            env=_environment(os.environ),
            start_new_session=True,
        )
    return Worker(training, process, errors)


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a training: no run, experiment or target of the caller's, and one thread each."""
    kept = {name: value for name, value in environ.items() if not name.startswith(("HEADRACE_", "MLFLOW_"))}
    return {**kept, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _listen(worker: Worker, told: queue.Queue[tuple[Worker, dict[str, Any] | None]]) -> None:
    """Pass on what a worker says; None when it has closed its stdout."""
    output: IO[str] = worker.process.stdout  # type: ignore[assignment]
    try:
        for line in output:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if isinstance(message, dict):
                told.put((worker, message))
    except ValueError:  # closed under us: the demo is being stopped
        pass
    told.put((worker, None))


# --- the outcome ------------------------------------------------------------------------------------------------------


def _report(workers: list[Worker], url: str, spool_dir: Path) -> bool:
    """Read everything back, show it, and say whether every run is FINISHED and every point is there."""
    init(url, spool_dir=str(spool_dir), adopt_orphans=False)
    experiments = sorted({worker.training.experiment for worker in workers})
    found = reading.search_runs(
        experiment_names=experiments, output_format="list", order_by=["metrics.val_accuracy DESC"]
    )
    runs = {run.info.run_id: run for run in found if isinstance(run, Run)}
    trained = {worker.run_id: worker for worker in workers if worker.run_id is not None}
    rows = []
    logged = back = finished = 0
    for run_id, run in runs.items():
        if run_id not in trained:
            continue
        worker = trained[run_id]
        finished += run.info.status == "FINISHED"
        for key, count in worker.points.items():
            logged += count
            back += _points(run_id, key)
        metrics = run.data.metrics
        rows.append(
            (
                run.info.run_name,
                worker.training.experiment,
                run.info.status,
                metrics.get("val_accuracy"),
                metrics.get("val_loss"),
                duration(run.info.start_time, run.info.end_time),
                run_id,
            )
        )
    print_rows(("run", "experiment", "status", "val_accuracy", "val_loss", "duration", "id"), rows)
    say(f"{finished} of {len(workers)} runs are FINISHED; {logged:,} points logged, {back:,} read back")
    return finished == len(workers) and logged == back and logged > 0


def _points(run_id: str, key: str) -> int:
    try:
        return int(reading.get_metric_history(run_id, key).num_rows)
    except ReadFailed as error:
        say(f"{key} of run {run_id} cannot be read: {error}")
        return 0
