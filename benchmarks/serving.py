"""The same models behind `headrace models serve`, `mlflow models serve` and MLServer, asked by wrk."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from benchmarks import processes
from benchmarks.figures import Cell, Spread, Table, ratio, spread
from benchmarks.peers import NotInstalled, Peer, installed
from benchmarks.processes import Server

ARROW = "application/vnd.apache.arrow.stream"
JSON = "application/json"
SECONDS = 8
WARM_SECONDS = 2
CLOSE = 1e-6
_LUA = """
local file = io.open("{body}", "rb")
wrk.method = "POST"
wrk.body = file:read("*all")
wrk.headers["Content-Type"] = "{kind}"
wrk.headers["Accept"] = "{kind}"
"""


@dataclass(frozen=True, slots=True)
class Work:
    """One row.

    model, rows: of the body. kind: its Content-Type. connections: of the load. times: the bar for ours, times MLflow's
    requests a second.
    """

    title: str
    model: str
    rows: int
    connections: int
    times: float | None
    kind: str = JSON


WORKS = (
    Work("logistic regression, 1 row", "lr", 1, 1, 8),
    Work("logistic regression, 1 row", "lr", 1, 32, 40),
    Work("logistic regression, 1,000 rows", "lr", 1000, 1, 8),
    Work("logistic regression, 1,000 rows", "lr", 1000, 32, 8),
    Work("logistic regression, 1,000 rows in Arrow", "lr", 1000, 1, None, ARROW),
    Work("Keras, 1 row", "keras", 1, 1, 50),
    Work("Keras, 1 row", "keras", 1, 32, 100),
    Work("Keras, 1,000 rows", "keras", 1000, 1, 8),
    Work("Keras, 1,000 rows", "keras", 1000, 32, 8),
)


@dataclass(slots=True)
class Subject:
    """A scoring server. models: to the servers that score them. path: of its route; ours: also asked for Arrow."""

    name: str
    path: str
    models: dict[str, Server]
    ours: bool = False
    second: bool = False
    found: dict[Work, list[Found]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """What wrk found. per_s: requests a second; p50_ms, p99_ms: of their times."""

    per_s: float
    p50_ms: float
    p99_ms: float


def run(folder: Path, rounds: int, quick: bool, say: Callable[[str], None]) -> Iterator[Table]:
    """The table."""
    if shutil.which("wrk") is None:
        raise SystemExit("the load comes from wrk: apt-get install wrk")
    say("making the models")
    subprocess.run([sys.executable, "-m", "benchmarks.workers.serving_models", str(folder)], check=True)
    notes: list[str] = []
    with ExitStack() as stack:
        subjects = []
        for maker in (_headrace, _mlflow, _mlserver):
            try:
                subject = maker(folder)
                for server in subject.models.values():
                    stack.callback(server.stop)
                    server.start()
                    say(f"{server.name} is ready after {server.ready_s:.1f} s")
            except (NotInstalled, RuntimeError) as error:
                notes.append(str(error))
                say(str(error))
                continue
            subjects.append(subject)
        notes += _compared(subjects, folder)
        for number in range(rounds):
            for work in WORKS:
                for subject in subjects:
                    if work.model not in subject.models or (work.kind == ARROW and not subject.ours):
                        continue
                    found = _asked(subject, work, folder, 1 if quick else SECONDS)
                    subject.found.setdefault(work, []).append(found)
                    say(f"round {number + 1}: {work.title} at {work.connections}: {subject.name} {found.per_s:.0f}/s")
    yield _table(subjects, json.loads((folder / "in-process.json").read_text()), notes)


def _table(subjects: Sequence[Subject], in_process: dict[str, float], notes: list[str]) -> Table:
    columns = ["work", "connections"]
    for subject in subjects:
        columns += [f"{subject.name} /s", "p50 ms", "p99 ms"]
    table = Table(
        "One model behind three servers", [*columns, "times MLflow", "asked for", "in process ms"], notes=notes
    )
    for work in WORKS:
        cells: list[Cell] = [work.title, float(work.connections)]
        rates: dict[str, Spread] = {}
        for subject in subjects:
            found = subject.found.get(work)
            if not found:
                cells += ["", "", ""]
                continue
            rates[subject.name] = spread([one.per_s for one in found])
            cells += [rates[subject.name], spread([one.p50_ms for one in found]), spread([one.p99_ms for one in found])]
        times = ratio(rates["MLflow"], rates["Headrace"]) if {"MLflow", "Headrace"} <= rates.keys() else ""
        asked = "" if work.times is None else f"{work.times:g}×"
        table.add(*cells, times, asked, in_process[f"{work.model}-{work.rows}"])
    table.notes.append(
        "In process: pyfunc's predict of the same rows as a DataFrame or array, enforcement included, p50."
    )
    return table


def _asked(subject: Subject, work: Work, folder: Path, seconds: int) -> Found:
    """One round of wrk, after a short one that warms. Raises RuntimeError when an answer is not 200."""
    server = subject.models[work.model]
    script = folder / "wrk.lua"
    script.write_text(_LUA.format(body=_body(subject, work, folder), kind=work.kind))
    command = ["wrk", "-t1", f"-c{work.connections}", "--latency", "--timeout", "60s", "-s", str(script)]
    said = ""
    for length in (min(WARM_SECONDS, seconds), seconds):
        done = subprocess.run(
            [*command, f"-d{length}s", f"{server.url}{subject.path.format(model=work.model)}"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        said = done.stdout
        if "Non-2xx" in said:
            raise RuntimeError(f"{subject.name} does not answer {work.title}: {said}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert rate is not None
    return Found(float(rate[1]), _latency_ms(said, "50%"), _latency_ms(said, "99%"))


def _latency_ms(said: str, share: str) -> float:
    found = re.search(rf"{share}\s+([\d.]+)(us|ms|s|m)\b", said)
    assert found is not None
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}[found[2]]


def _body(subject: Subject, work: Work, folder: Path) -> Path:
    end = "arrow" if work.kind == ARROW else "v2.json" if subject.second else "json"
    return folder / f"{work.model}-{work.rows}.{end}"


def _compared(subjects: Sequence[Subject], folder: Path) -> list[str]:
    """How far the servers' predictions lie apart, as a note."""
    answers: dict[str, dict[str, Any]] = {}
    for subject in subjects:
        if subject.second:
            continue
        for model, server in subject.models.items():
            body = (folder / f"{model}-1000.json").read_bytes()
            url = f"{server.url}{subject.path.format(model=model)}"
            answer = httpx.post(url, content=body, headers={"Content-Type": JSON}, timeout=60.0)
            answers.setdefault(model, {})[subject.name] = answer.raise_for_status().json()["predictions"]
    notes = []
    for model, predictions in answers.items():
        first, *others = predictions.values()
        apart = max((_apart(first, other) for other in others), default=0.0)
        if apart > CLOSE:
            raise RuntimeError(f"the servers do not agree on {model}: {apart}")
        notes.append(f"Predictions of {model} for 1,000 rows lie at most {apart:.1e} apart.")
    return notes


def _apart(one: Any, other: Any) -> float:
    if isinstance(one, list):
        return max(map(_apart, one, other), default=0.0)
    return abs(one - other)


def _headrace(folder: Path) -> Subject:
    def server(model: str) -> Server:
        def command(port: int, _: Path) -> Sequence[str]:
            serve = [sys.executable, "-m", "headrace.sdk.cli.main", "models", "serve"]
            return [*serve, "-m", str(folder / model), "-p", str(port)]

        return Server(f"Headrace ({model})", command, folder / f"headrace-{model}")

    return Subject("Headrace", "/invocations", {model: server(model) for model in ("lr", "keras")}, ours=True)


def _mlflow(folder: Path) -> Subject:
    same = [f"{name}=={version(name)}" for name in ("scikit-learn", "tensorflow-cpu", "keras", "numpy", "pandas")]
    peer = Peer("mlflow-scoring", " ".join(["mlflow==3.17.2", *same]), "MLflow 3.17.2")
    program = installed(peer)

    def server(model: str) -> Server:
        def command(port: int, _: Path) -> Sequence[str]:
            serve = [str(program / "mlflow"), "models", "serve", "--env-manager", "local"]
            return [*serve, "-m", str(folder / model), "-p", str(port)]

        search = f"{program}:/usr/local/bin:/usr/bin:/bin"
        return Server(f"MLflow ({model})", command, folder / f"mlflow-{model}", PATH=search)

    return Subject("MLflow", "/invocations", {model: server(model) for model in ("lr", "keras")})


def _mlserver(folder: Path) -> Subject:
    requirement = f"mlserver==1.7.1 mlserver-sklearn==1.7.1 scikit-learn=={version('scikit-learn')}"
    program = installed(Peer("mlserver", requirement, "MLServer 1.7.1"))

    def command(port: int, place: Path) -> Sequence[str]:
        settings = {"http_port": port, "grpc_port": processes.free_port(), "metrics_port": processes.free_port()}
        (place / "settings.json").write_text(json.dumps({**settings, "host": "127.0.0.1", "parallel_workers": 0}))
        model = {
            "name": "lr", "implementation": "mlserver_sklearn.SKLearnModel",
            "parameters": {"uri": str(folder / "lr.joblib")},
        }  # fmt: skip
        (place / "model-settings.json").write_text(json.dumps(model))
        return [str(program / "mlserver"), "start", str(place)]

    server = Server("MLServer (lr)", command, folder / "mlserver", health="/v2/health/ready")
    return Subject("MLServer", "/v2/models/{model}/infer", {"lr": server}, second=True)
