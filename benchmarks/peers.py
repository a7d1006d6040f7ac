"""The peers: each is installed into an environment of its own below `benchmarks/.envs`, by uv, at a fixed version."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ENVIRONMENTS = Path(__file__).parent / ".envs"


class NotInstalled(Exception):
    """A peer cannot be installed here; the message says why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """name: of its folder. requirement: as pip takes it, several with a space between. title: for tables."""

    name: str
    requirement: str
    title: str


MLFLOW = Peer("mlflow", "mlflow==3.17.2", "MLflow 3.17.2")
FASTTRACKML = Peer("fasttrackml", "fasttrackml==0.6.0", "FastTrackML 0.6.0")
TENSORBOARDX = Peer("tensorboardx", "tensorboardX==2.6.5", "tensorboardX 2.6.5")
TENSORBOARD = Peer("tensorboard", "tensorboard==2.20.0 setuptools<81", "TensorBoard 2.20.0")
TRACKIO = Peer("trackio", "trackio==0.43.0", "trackio 0.43.0")


@cache
def installed(peer: Peer) -> Path:
    """The `bin` folder of a peer's environment, made when it is not there. Raises NotInstalled."""
    folder = ENVIRONMENTS / peer.name
    done = folder / f"installed-{peer.requirement}"
    if not done.exists():
        uv = shutil.which("uv")
        if uv is None:
            raise NotInstalled(f"{peer.title}: uv is not on the path")
        try:
            _run([uv, "venv", "--quiet", "--clear", "--python", "3.11", str(folder)])
            _run(
                [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *peer.requirement.split()]
            )
        except subprocess.CalledProcessError as error:
            raise NotInstalled(f"{peer.title}: {error.stderr.strip()[-300:]}") from error
        done.touch()
    return folder / "bin"


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
