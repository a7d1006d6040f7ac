"""What the page is measured on: the same runs and curves for our server, MLflow's and TensorBoard."""

from __future__ import annotations

import multiprocessing
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from benchmarks import data_set, load, wire
from benchmarks.client import Connection
from benchmarks.peers import TENSORBOARD, installed
from benchmarks.processes import Server

CLIENTS = 4
FILTER = "params.param_2 = 'value_7'"
"""About a tenth of the runs have it."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """runs: in the table. curves: runs on the chart, each with so many points. The peers, which take far longer to be
    filled and sample what they show, get peer_runs and peer_points."""

    runs: int = 10_000
    curves: int = 100
    points: int = 100_000
    peer_runs: int = 1_000
    peer_points: int = 2_000
    seconds: float = 10.0


QUICK = Sizes(runs=60, curves=5, points=2_000, peer_runs=60, peer_points=1_000, seconds=1.0)


@dataclass(frozen=True, slots=True)
class Made:
    """table_id: the experiment with many runs; chart_id: the one with curves of a metric named `curve`."""

    table_id: str
    chart_id: str


def ours(url: str, sizes: Sizes) -> Made:
    """Fill our server through its ingest gateway, from several clients, until all of it can be read."""
    connection = Connection(url, timeout_s=600.0)
    made = Made(wire.create_experiment(connection, "many runs"), wire.create_experiment(connection, "long curves"))
    with multiprocessing.get_context("fork").Pool(CLIENTS) as pool:
        pool.starmap(_our_run, [(url, made.table_id, number, 2) for number in range(sizes.runs)], 50)
        pool.starmap(_our_curve, [(url, made.chart_id, number, sizes.points) for number in range(sizes.curves)], 1)
    return made


def _our_run(url: str, experiment_id: str, number: int, steps: int) -> None:
    connection = Connection(url, timeout_s=600.0)
    data_set.post(connection, list(data_set.run_events(uuid.uuid4().hex, experiment_id, number, steps)))
    connection.close()


def _our_curve(url: str, experiment_id: str, number: int, points: int) -> None:
    connection = Connection(url, timeout_s=600.0)
    run_id = uuid.uuid4().hex
    data_set.post(connection, list(data_set.run_events(run_id, experiment_id, number, 1)))
    data_set.post(connection, list(data_set.point_events(run_id, ["curve"], points, "curve", number)))
    connection.close()


def mlflows(url: str, sizes: Sizes) -> Made:
    """Fill MLflow's server over its REST API; the same metrics, params and tags a run."""
    connection = Connection(url)
    made = Made(wire.create_experiment(connection, "many runs"), wire.create_experiment(connection, "long curves"))
    load.fill(url, made.table_id, CLIENTS, sizes.peer_runs)
    for number in range(sizes.curves):
        run_id = wire.new_run(connection, made.chart_id, f"curve {number}")
        for request in wire.series(run_id, "curve", sizes.peer_points):
            connection.ask(request)
    return made


_WRITE = """
import random, sys
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
folder, runs, points = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for run in range(runs):
    chance = random.Random(run)
    writer = EventFileWriter(f"{folder}/curve_{run}", max_queue_size=10_000)
    for step in range(points):
        value = Summary.Value(tag="curve", simple_value=chance.random() + 1 / (1 + step))
        writer.add_event(Event(wall_time=1_700_000_000 + step, step=step, summary=Summary(value=[value])))
    writer.close()
"""


def tensorboards(folder: Path, sizes: Sizes) -> Path:
    """Write TensorBoard's event files, a folder a run, as many points as ours; where they are. Raises NotInstalled."""
    logs = folder / "logs"
    python = installed(TENSORBOARD) / "python"
    command = [str(python), "-c", _WRITE, str(logs), str(sizes.curves), str(sizes.points)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return logs


def tensorboard(folder: Path, logs: Path) -> Server:
    """TensorBoard with its defaults, of which one is that it shows 1,000 points of a curve. Raises NotInstalled."""
    program = str(installed(TENSORBOARD) / "tensorboard")

    def command(port: int, _: Path) -> list[str]:
        return [program, "--logdir", str(logs), "--host", "127.0.0.1", "--port", str(port)]

    return Server(TENSORBOARD.title, command, folder, health="/data/environment")
