"""Artifacts: staged in the spool on the caller's thread, stored at the target by a thread of their own."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from headrace.sdk.settings import Settings
from headrace.sdk.shipper import Backoff
from headrace.sdk.spool import Spool, SpoolPosition
from headrace.sdk.transport import Artifact, Refused, TooLarge, Transport, Unavailable

logger = logging.getLogger("headrace")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Artifact).decode


class Stage:
    """The part of a spool where files wait: `artifacts/`, `artifacts.jsonl` and `artifacts.done`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._folder = directory / "artifacts"
        self._numbers = itertools.count(1)

    def copy(self, source: Path, run_id: str, experiment_id: str, path: str) -> Artifact:
        """Copy a local file, since the caller may change or delete it right after. Raises OSError."""
        number, target = self._next()
        try:
            # copyfile copies in the kernel where it can; a file that is no regular file (a pipe) is refused by it.
            shutil.copyfile(source, target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        return Artifact(number, run_id, experiment_id, path, target.name, target.stat().st_size)

    def write(self, data: bytes, run_id: str, experiment_id: str, path: str) -> Artifact:
        """Keep bytes as a file. Raises OSError."""
        number, target = self._next()
        try:
            target.write_bytes(data)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        return Artifact(number, run_id, experiment_id, path, target.name, len(data))

    def take(self, source: Path, experiment_id: str, path: str, model_id: str, files: int = 0) -> Artifact:
        """Move a file of a logged model here; it lies on the same disk. files: as in Artifact. Raises OSError."""
        number, target = self._next()
        os.replace(source, target)
        size = target.stat().st_size
        return Artifact(number, "", experiment_id, path, target.name, size, model_id=model_id, files=files)

    def record(self, artifact: Artifact) -> None:
        """Note a staged file with the events it must follow; from now on it survives a crash. Raises OSError."""
        with open(self.directory / "artifacts.jsonl", "ab") as file:
            file.write(_encode(artifact) + b"\n")
            file.flush()
            os.fdatasync(file.fileno()) if hasattr(os, "fdatasync") else os.fsync(file.fileno())

    def done(self, artifact: Artifact) -> None:
        """The target has it: forget the copy. Raises OSError."""
        with open(self.directory / "artifacts.done", "ab") as file:
            file.write(b"%d\n" % artifact.number)
        self.file(artifact).unlink(missing_ok=True)

    def reject(self, artifact: Artifact, reason: str) -> Path:
        """Keep what the target refused, with the reason. Raises OSError."""
        folder = self.directory / "rejected"
        folder.mkdir(exist_ok=True)
        (folder / f"{artifact.file}.txt").write_bytes(_encode(artifact) + b"\n" + reason.encode() + b"\n")
        kept = folder / artifact.file
        os.replace(self.file(artifact), kept)
        return kept

    def file(self, artifact: Artifact) -> Path:
        """Where the copy lies."""
        return self._folder / artifact.file

    def waiting(self) -> list[Artifact]:
        """What a writer that died has staged and not stored, in order. A torn last line is left out."""
        return [artifact for artifact in self._recorded() if artifact.number not in self._stored()]

    def _recorded(self) -> Iterator[Artifact]:
        try:
            lines = (self.directory / "artifacts.jsonl").read_bytes().splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                yield _decode(line)
            except msgspec.DecodeError:
                continue

    def _stored(self) -> set[int]:
        try:
            return {int(line) for line in (self.directory / "artifacts.done").read_bytes().split() if line.isdigit()}
        except FileNotFoundError:
            return set()

    def _next(self) -> tuple[int, Path]:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = next(self._numbers)
        return number, self._folder / f"{self.directory.name}-{number:08d}"


def store(stage: Stage, transport: Transport, artifact: Artifact) -> bool:
    """Store one staged file at the target; False when it is refused for good or gone. Raises Unavailable."""
    try:
        transport.put_artifact(artifact, stage.file(artifact))
        stage.done(artifact)
        return True
    except (Refused, TooLarge) as error:
        kept = stage.reject(artifact, str(error))
        logger.warning("the target refused the artifact %s, it is kept in %s: %s", artifact.path, kept, error)
        stage.done(artifact)
        return False
    except FileNotFoundError:
        logger.warning("the staged copy of the artifact %s is gone; it cannot be stored", artifact.path)
        stage.done(artifact)
        return False
    except OSError as error:
        raise Unavailable(f"the artifact {artifact.path}: {error}") from error


class ArtifactShipper:
    """The thread that stores artifacts, one after another, each once its run's events have been acknowledged."""

    def __init__(
        self,
        stage: Stage,
        spool: Spool,
        changed: threading.Condition,
        settings: Settings,
        open_transport: Callable[[], Transport],
    ) -> None:
        self._stage = stage
        self._spool = spool
        self._changed = changed
        self._settings = settings
        self._open_transport = open_transport
        self._waiting: deque[Artifact] = deque()
        self._stop = threading.Event()
        self._down = False
        self._thread = threading.Thread(target=self._run, name="headrace-artifacts", daemon=True)
        self.recorded = 0
        self.stored = 0

    def start(self) -> None:
        """Begin to store."""
        self._thread.start()

    def put(self, artifact: Artifact) -> None:
        """One more file, already recorded in the stage."""
        with self._changed:
            self._waiting.append(artifact)
            self.recorded += 1
            self._changed.notify_all()

    def wait_for(self, count: int, deadline_s: float) -> bool:
        """Wait until so many artifacts are stored (or refused)."""
        with self._changed:
            return self._changed.wait_for(lambda: self.stored >= count, max(0.0, deadline_s - time.monotonic()))

    def stop(self, timeout_s: float) -> bool:
        """Ask the thread to end; True when it has."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _let_others_pass(self, artifact: Artifact) -> None:
        """One run's trouble (a server that does not know it) must not hold up the others; each run keeps its order."""
        with self._changed:
            waiting = list(self._waiting)
            self._waiting.clear()
            self._waiting.extend(one for one in waiting if one.owner != artifact.owner)
            self._waiting.extend(one for one in waiting if one.owner == artifact.owner)

    def _ready(self) -> bool:
        if not self._waiting:
            return False
        first = self._waiting[0]
        return self._spool.acked >= SpoolPosition(first.segment, first.offset)

    def _run(self) -> None:
        backoff = Backoff(self._settings.retry_interval_min_s, self._settings.retry_interval_max_s)
        transport: Transport | None = None
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stop.is_set() or self._ready())
            if self._stop.is_set():
                break
            artifact = self._waiting[0]
            try:
                transport = transport or self._open_transport()
                store(self._stage, transport, artifact)
            except Unavailable as error:
                if not self._down:
                    self._down = True
                    logger.warning("%s. The artifact waits in %s.", error, self._stage.directory)
                self._let_others_pass(artifact)
                self._stop.wait(backoff.pause_s())
                continue
            except Exception:
                logger.exception("storing an artifact failed unexpectedly; it is tried again")
                self._stop.wait(backoff.pause_s())
                continue
            backoff.reset()
            self._down = False
            with self._changed:
                self._waiting.popleft()
                self.stored += 1
                self._changed.notify_all()
        if transport is not None:
            transport.close()
