"""The server that takes an import, or gives an export: what is sent to it, and what is read back from it."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.ipc
from headrace.ingest import codec
from headrace.ingest.envelope import Envelope
from headrace.ingest.limits import experiment_id_of
from headrace.sdk.coming.source import Series
from headrace.sdk.reader import Reader, ReadFailed
from headrace.sdk.run import Experiment
from headrace.sdk.settings import Settings
from headrace.sdk.shipper import Backoff
from headrace.sdk.transport import Artifact, HttpTransport, Refused, TooLarge, Unavailable

T = TypeVar("T")
PATIENCE_S = 120.0
"""How long a server that does not answer is asked again."""
RUNS_A_REQUEST = 1_000
_ID_ATTEMPTS = 100
_DEPTH_MAX = 64


class NotTaken(Exception):
    """The server does not take, or give, what it should; the message says what it said."""


class Rejected(NotTaken):
    """The server takes requests, and not these events, such as those of a run that was erased."""


class Arrival:
    """One Headrace server. For one thread."""

    def __init__(
        self,
        url: str,
        settings: Settings,
        patience_s: float = PATIENCE_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """transport: what carries requests; a network's by default."""
        self.url = url.rstrip("/")
        timeout = httpx.Timeout(max(120.0, settings.request_timeout_s), connect=settings.connect_timeout_s)
        self._client = httpx.Client(timeout=timeout, transport=transport)
        self.reader = Reader(self.url, self._client)
        self._settings = settings
        self._transport = HttpTransport(self.url, settings, transport)
        self._patience_s = patience_s

    def close(self) -> None:
        """Let go of connections."""
        self._transport.close()
        self._client.close()

    def patiently(self, ask: Callable[[], T]) -> T:
        """Ask, and ask again while the server cannot answer, for PATIENCE_S. Raises NotTaken."""
        backoff = Backoff(self._settings.retry_interval_min_s, self._settings.retry_interval_max_s)
        deadline_s = time.monotonic() + self._patience_s
        while True:
            try:
                return ask()
            except (Refused, TooLarge) as error:
                raise NotTaken(str(error)) from error
            except (Unavailable, ReadFailed, httpx.HTTPError, pa.ArrowException) as error:
                if isinstance(error, ReadFailed) and error.status in range(400, 500) and error.status != 429:
                    raise NotTaken(str(error)) from error
                if time.monotonic() >= deadline_s:
                    raise NotTaken(f"{error} (asked for {self._patience_s:g} s)") from error
                time.sleep(backoff.pause_s())

    # --- writing ------------------------------------------------------------------------------------------------------

    def send(self, frames: Sequence[bytes]) -> None:
        """Append frames, in order, in requests that are short enough. Raises NotTaken; Rejected for some of them."""
        left = iter(frames)
        held = next(left, None)
        while held is not None:
            request, size = [held], len(held)
            held = next(left, None)
            while held is not None and size + len(held) <= self._settings.request_bytes_max:
                request.append(held)
                size += len(held)
                held = next(left, None)
            self._send(request)

    def _send(self, frames: Sequence[bytes]) -> None:
        try:
            receipt = self.patiently(lambda: self._transport.send(b"".join(frames), ()))
            if receipt.rejected:
                raise Rejected(f"{self.url} did not take {len(receipt.rejected)} events: {receipt.rejected[0][1]}")
        except NotTaken as error:
            if not isinstance(error.__cause__, TooLarge) or len(frames) < 2:
                raise
            middle = len(frames) // 2
            self._send(frames[:middle])
            self._send(frames[middle:])

    def put_file(self, run_id: str, path: str, file: Path) -> None:
        """Store a file as an artifact of a run. Raises NotTaken."""
        self.patiently(lambda: self._transport.put_artifact(Artifact(0, run_id, "", path, file.name, 0), file))

    def put_at(self, place: str, file: Path) -> None:
        """Store a file at a path of the artifact store. Raises NotTaken."""

        def ask() -> None:
            with open(file, "rb") as opened:
                length = {"content-length": str(file.stat().st_size)}
                answer = self._client.put(
                    f"{self.url}/api/2.0/mlflow-artifacts/artifacts/{quote(place)}", content=opened, headers=length
                )
            if not answer.is_success:
                fault = f"{self.url} answered {answer.status_code}: {answer.text[:300]}"
                raise Refused(fault) if answer.status_code in (400, 404, 413) else Unavailable(fault)

        self.patiently(ask)

    # --- experiments --------------------------------------------------------------------------------------------------

    def experiment(self, name: str) -> Experiment | None:
        """The experiment of this name. Raises NotTaken."""
        return self.patiently(lambda: self.reader.experiment_by_name(name))

    def free_experiment_id(self, name: str) -> str:
        """The id that an experiment of this name gets, which no other one has. Raises NotTaken."""
        for attempt in range(_ID_ATTEMPTS):
            experiment_id = experiment_id_of(name, attempt)
            if self._got("/api/2.0/mlflow/experiments/get", experiment_id=experiment_id) is None:
                return experiment_id
        raise NotTaken(f"{self.url} has no free id for the experiment {name!r}")

    # --- reading back -------------------------------------------------------------------------------------------------

    def run(self, run_id: str) -> dict[str, Any] | None:
        """A run as MLflow's JSON has it, None if there is none. Raises NotTaken."""
        answer = self._got("/api/2.0/mlflow/runs/get", run_id=run_id)
        return None if answer is None else answer["run"]

    def model(self, model_id: str) -> dict[str, Any] | None:
        """A logged model as MLflow's JSON has it, None if there is none. Raises NotTaken."""
        answer = self._got(f"/api/2.0/mlflow/logged-models/{quote(model_id)}")
        return None if answer is None else answer["model"]

    def registered(self, name: str) -> dict[str, Any] | None:
        """A registered model as MLflow's JSON has it, None if there is none. Raises NotTaken."""
        answer = self._got("/api/2.0/mlflow/registered-models/get", name=name)
        return None if answer is None else answer["registered_model"]

    def stages(self) -> list[str]:
        """Every stage a version of a registered model can be in. Raises NotTaken."""
        answer = self._got("/api/headrace/v1/registry/stages")
        return [] if answer is None else [str(one) for one in answer["stages"]]

    def versions(self, name: str) -> list[dict[str, Any]]:
        """The versions of a registered model as MLflow's JSON has them. Raises NotTaken."""
        quote = '"' if "'" in name else "'"
        asked = {"filter": f"name = {quote}{name}{quote}", "max_results": "1000"}
        found: list[dict[str, Any]] = []
        while True:
            answer = self._got("/api/2.0/mlflow/model-versions/search", **asked) or {}
            found += answer.get("model_versions", [])
            asked["page_token"] = answer.get("next_page_token") or ""
            if not asked["page_token"]:
                return found

    def _got(self, path: str, **params: str) -> dict[str, Any] | None:
        def ask() -> dict[str, Any] | None:
            try:
                return self.reader.call("GET", path, params=params)
            except ReadFailed as error:
                if error.status == 404:
                    return None
                raise

        return self.patiently(ask)

    def series(self, run_ids: Sequence[str]) -> Iterator[tuple[str, Series]]:
        """Every metric of these runs, run by run in the order of their ids, key by key. Raises NotTaken."""
        left = iter(sorted(set(run_ids)))
        while some := list(islice(left, RUNS_A_REQUEST)):
            yield from self._series(some)

    def _series(self, run_ids: list[str]) -> Iterator[tuple[str, Series]]:
        held: list[pa.RecordBatch] = []
        of: tuple[str, str] | None = None
        for batch in self.points(run_ids):
            ids, keys = (batch.column(name).to_numpy(zero_copy_only=False) for name in ("run_id", "key"))
            edges = np.flatnonzero((ids[1:] != ids[:-1]) | (keys[1:] != keys[:-1])) + 1
            for start, stop in zip([0, *edges.tolist()], [*edges.tolist(), batch.num_rows], strict=True):
                this = (str(ids[start]), str(keys[start]))
                if of is not None and this != of:
                    yield of[0], _series_of(of[1], held)
                    held = []
                of = this
                held.append(batch.slice(start, stop - start))
        if of is not None:
            yield of[0], _series_of(of[1], held)

    def points(self, run_ids: Sequence[str], inherited: bool = False) -> Iterator[pa.RecordBatch]:
        """The points of runs, ordered by run, key, step and time, as they come. Raises NotTaken.

        inherited: with what forked runs have from others. An answer that breaks off is not begun anew.
        """
        url = f"{self.url}/api/headrace/v1/export/points"
        try:
            with self._client.stream("POST", url, json={"run_ids": list(run_ids), "inherited": inherited}) as answer:
                self._check(answer)
                with pa.ipc.open_stream(pa.PythonFile(Stream(answer.iter_raw(256 * 1024)), mode="r")) as reader:
                    for batch in reader:
                        if batch.num_rows:
                            yield batch
        except (httpx.HTTPError, pa.ArrowException, OSError) as error:
            raise NotTaken(f"{self.url} broke off an answer: {error}") from error

    def events(
        self,
        run_ids: Sequence[str],
        experiment_ids: Sequence[str] = (),
        whole: bool = False,
        data: bool = True,
        registered: Sequence[str] = (),
    ) -> Iterator[tuple[Envelope, bytes]]:
        """The log's events of runs, experiments and registered models, each with its frame. Raises NotTaken.

        whole: also of the runs that these were forked from, of all their experiments, and of the registered models of
        which they made a version. data: else attributes only. registered: ids or names.
        """
        asked = {"run_ids": list(run_ids), "experiment_ids": list(experiment_ids), "whole": whole, "data": data}
        if registered:
            asked["registered_models"] = list(registered)
        try:
            with self._client.stream("POST", f"{self.url}/api/headrace/v1/export/events", json=asked) as answer:
                self._check(answer)
                yield from framed(answer.iter_raw(1024 * 1024))
        except (httpx.HTTPError, codec.Malformed) as error:
            raise NotTaken(f"{self.url} broke off an answer: {error}") from error

    def _check(self, answer: httpx.Response) -> None:
        if not answer.is_success:
            answer.read()
            raise NotTaken(f"{self.url} answered {answer.status_code}: {answer.text[:300]}")

    def files(self, run_id: str) -> dict[str, int]:
        """The artifacts of a run, with their sizes in bytes. Raises NotTaken."""
        return dict(self._files(lambda path: self.reader.artifacts(run_id, path), None, 0))

    def files_at(self, place: str) -> dict[str, int]:
        """The files below a path of the artifact store, relative to it. Raises NotTaken."""

        def entries(path: str | None) -> list[dict[str, Any]]:
            below = f"{place}/{path}" if path else place
            answer = self.reader.call("GET", "/api/2.0/mlflow-artifacts/artifacts", params={"path": below})
            prefix = f"{path}/" if path else ""
            return [{**one, "path": prefix + one["path"]} for one in answer.get("files", [])]

        return dict(self._files(entries, None, 0))

    def names_at(self, place: str) -> set[str]:
        """The names of the files right below a path of the artifact store. Raises NotTaken."""
        path = "/api/2.0/mlflow-artifacts/artifacts"
        answer = self.patiently(lambda: self.reader.call("GET", path, params={"path": place}))
        return {str(one["path"]) for one in answer.get("files", []) if not one.get("is_dir")}

    def _files(
        self, entries: Callable[[str | None], list[dict[str, Any]]], path: str | None, depth: int
    ) -> Iterator[tuple[str, int]]:
        if depth > _DEPTH_MAX:
            raise NotTaken(f"artifacts lie more than {_DEPTH_MAX} folders deep: {path}")
        for entry in self.patiently(lambda: entries(path)):
            if entry.get("is_dir"):
                yield from self._files(entries, str(entry["path"]), depth + 1)
            else:
                yield str(entry["path"]), int(entry.get("file_size") or 0)

    def sha256(self, run_id: str, path: str) -> str:
        """SHA-256 in hex of an artifact as the server gives it. Raises NotTaken."""
        return self._hashed(f"/api/headrace/v1/runs/{quote(run_id)}/artifacts/{quote(path)}")

    def sha256_at(self, place: str) -> str:
        """SHA-256 in hex of a file of the artifact store, as the server gives it. Raises NotTaken."""
        return self._hashed(f"/api/2.0/mlflow-artifacts/artifacts/{quote(place)}")

    def fetch_at(self, place: str, target: Path) -> None:
        """Download a file of the artifact store. Raises NotTaken, OSError."""

        def ask() -> None:
            url = f"{self.url}/api/2.0/mlflow-artifacts/artifacts/{quote(place)}"
            with self._client.stream("GET", url, follow_redirects=True) as answer, open(target, "wb") as file:
                self._check(answer)
                for block in answer.iter_bytes(1024 * 1024):
                    file.write(block)

        self.patiently(ask)

    def _hashed(self, path: str) -> str:
        def ask() -> str:
            digest = hashlib.sha256()
            with self._client.stream("GET", self.url + path, follow_redirects=True) as answer:
                self._check(answer)
                for block in answer.iter_bytes(1024 * 1024):
                    digest.update(block)
            return digest.hexdigest()

        return self.patiently(ask)


def framed(parts: Iterable[bytes]) -> Iterator[tuple[Envelope, bytes]]:
    """Envelopes of parts of a stream of frames, each with its frame. Raises Malformed, also when the end is missing."""
    held = b""
    for part in parts:
        held += part
        start = 0
        for item, end in codec.decode_frames(held):
            if isinstance(item, codec.Malformed):
                raise item
            yield item, held[start:end]
            start = end
        held = held[start:]
    if held:
        raise codec.Malformed(f"the stream ends in the middle of a frame, with {len(held)} bytes of it")


class Stream(io.RawIOBase):
    """A file to read from, of the parts of an answer."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        super().__init__()
        self._parts = parts
        self._held = memoryview(b"")

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """So many bytes, fewer at the end."""
        wanted = 2**62 if size is None or size < 0 else size
        found = bytearray()
        while len(found) < wanted:
            if not self._held:
                part = next(self._parts, None)
                if part is None:
                    break
                self._held = memoryview(part)
            taken = self._held[: wanted - len(found)]
            found += taken
            self._held = self._held[len(taken) :]
        return bytes(found)


def _series_of(key: str, batches: list[pa.RecordBatch]) -> Series:
    def column(name: str) -> Any:
        return np.concatenate([batch.column(name).to_numpy(zero_copy_only=False) for batch in batches])

    return Series(key, column("step"), column("timestamp_ms"), column("value"))
