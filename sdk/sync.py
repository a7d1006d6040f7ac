"""Ships what dead or offline writers left in a spool: `headrace sync`, and in the background at every start."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.sdk.artifacts import Stage, store
from headrace.sdk.settings import BadSetting, Settings, resolve
from headrace.sdk.shipper import Backoff, deliver
from headrace.sdk.spool import Spool
from headrace.sdk.transport import Transport, Unavailable, check_target, open_transport, shown

logger = logging.getLogger("headrace")

ATTEMPTS_MAX = 6


@dataclass(frozen=True, slots=True)
class WriterReport:
    """What became of one writer's folder.

    state: shipped (all of it, the folder is gone), kept (something was refused and stays in rejected/), unavailable
    (the target does not take it now; error says why), alive (its process is running), or empty (no target known).
    """

    writer: str
    directory: str
    target: str
    state: str
    events: int = 0
    bytes: int = 0
    artifacts: int = 0
    refused: int = 0
    error: str = ""


@dataclass(slots=True)
class SyncReport:
    """What `sync` did, a report a writer."""

    writers: list[WriterReport] = field(default_factory=list)

    @property
    def events(self) -> int:
        """Events shipped."""
        return sum(writer.events for writer in self.writers)

    @property
    def bytes(self) -> int:
        """Bytes shipped, without artifacts."""
        return sum(writer.bytes for writer in self.writers)

    @property
    def artifacts(self) -> int:
        """Artifacts stored."""
        return sum(writer.artifacts for writer in self.writers)

    @property
    def complete(self) -> bool:
        """Whether nothing is left that could be shipped now."""
        return all(writer.state in ("shipped", "kept", "alive") for writer in self.writers)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far `sync` is: bytes_done of bytes_total, in which writer's folder."""

    writer: str
    bytes_done: int
    bytes_total: int


OpenTransport = Callable[[str, Settings], Transport]


def writer_directories(spool_dir: Path) -> list[Path]:
    """The writers' folders of a spool, oldest first. A single writer's folder counts as a spool of one."""
    if (spool_dir / "meta.json").exists():
        return [spool_dir]
    try:
        found = [path for path in spool_dir.iterdir() if (path / "meta.json").is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, key=lambda path: (path.stat().st_mtime, path.name) if path.exists() else (0.0, path.name))


def sync(
    spool_dir: str | Path | None = None,
    target: str | None = None,
    progress: Callable[[Progress], None] | None = None,
    *,
    settings: Settings | None = None,
    transport: OpenTransport = open_transport,
) -> SyncReport:
    """Ship everything that dead or offline writers left in a spool.

    target: where to; each writer's own target when not given. Safe to run at any time, twice, or beside living
    trainers (whose folders are left alone); what was interrupted goes on where it stood. Raises BadSetting.
    """
    settings = settings or resolve({})
    folder = Path(spool_dir if spool_dir is not None else settings.spool_dir).expanduser()
    checked = check_target(target) if target is not None else None
    report = SyncReport()
    for directory in writer_directories(folder):
        report.writers.append(sync_writer(directory, checked, settings, progress, transport))
    return report


def sync_writer(
    directory: Path,
    target: str | None,
    settings: Settings,
    progress: Callable[[Progress], None] | None = None,
    transport: OpenTransport = open_transport,
    stop: threading.Event | None = None,
) -> WriterReport:
    """Ship one writer's folder, if its process is dead, and remove it when everything is at the target."""
    spool, stage = Spool(directory), Stage(directory)
    stop = stop or threading.Event()
    if not spool.adopt():
        return WriterReport(directory.name, str(directory), target or "", "alive")
    events = size = artifacts = refused = 0
    removed = False
    opened: Transport | None = None
    uri = target or str(spool.meta().get("target", ""))

    def told(state: str, error: str = "") -> WriterReport:
        return WriterReport(directory.name, str(directory), shown(uri), state, events, size, artifacts, refused, error)

    try:
        if not uri:
            return told("empty", "the folder does not say where its events go; name a target")
        checked = check_target(uri)
        waiting = stage.waiting()
        total = spool.bytes_left() + sum(artifact.size for artifact in waiting)
        backoff = Backoff(settings.retry_interval_min_s, settings.retry_interval_max_s)
        attempts = done = 0
        while spool.acked < spool.end or waiting:
            if stop.is_set():
                return told("unavailable", "stopped")
            try:
                opened = opened or transport(checked, settings)
                if spool.acked < spool.end:
                    before = spool.bytes_left()
                    delivered = deliver(spool, opened, spool.end, settings.request_bytes_max)
                    events += delivered.events
                    size += delivered.bytes
                    refused += delivered.refused
                    done += before - spool.bytes_left()
                else:
                    stored = store(stage, opened, waiting[0])
                    artifacts += stored
                    refused += not stored
                    done += waiting.pop(0).size
            except Unavailable as error:
                attempts += 1
                if attempts >= ATTEMPTS_MAX:
                    return told("unavailable", str(error))
                stop.wait(backoff.pause_s())
                continue
            attempts = 0
            backoff.reset()
            if progress is not None:
                progress(Progress(directory.name, min(done, total), total))
        if spool.has_rejected():
            return told("kept")
        spool.remove()
        removed = True
        return told("shipped")
    except BadSetting as error:
        return told("unavailable", str(error))
    except OSError as error:
        return told("unavailable", f"{directory}: {error}")
    finally:
        if opened is not None:
            opened.close()
        if not removed:
            spool.release()


class Adoption:
    """The thread that ships, at the start of a process, what dead writers of this host left for the same target."""

    def __init__(self, settings: Settings, host: str, own: Path, transport: OpenTransport = open_transport) -> None:
        self._settings = settings
        self._host = host
        self._own = own
        self._transport = transport
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="headrace-adoption", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Leave the rest to the next process."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            for directory in writer_directories(Path(self._settings.spool_dir)):
                if self._stop.is_set():
                    return
                if directory == self._own or not self._is_ours(Spool(directory).meta()):
                    continue
                report = sync_writer(directory, None, self._settings, transport=self._transport, stop=self._stop)
                if report.state == "shipped" and report.events:
                    logger.info("shipped %d events that writer %s had left", report.events, report.writer)
                elif report.state == "unavailable":
                    return  # the target is down: the next process tries again
        except Exception as error:  # whatever is wrong with old folders is not this training's trouble
            logger.warning("what earlier processes left in %s was not shipped: %s", self._settings.spool_dir, error)

    def _is_ours(self, meta: dict[str, Any]) -> bool:
        return (
            meta.get("target") == self._settings.tracking_uri
            and meta.get("host") == self._host
            and not meta.get("offline")
        )
