"""Where events go: the transport protocol, its errors, a server and a folder as targets."""

from __future__ import annotations

import hashlib
import mimetypes
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import quote, unquote, urlsplit

import msgspec
from headrace.ingest import events
from headrace.ingest.codec import Malformed, UnknownType, decode_event, encode_event, type_of
from headrace.ingest.envelope import Envelope
from headrace.ingest.kafka_settings import is_kafka, parse
from headrace.ingest.limits import DEFAULT_EXPERIMENT_ID
from headrace.ingest.log import LogError, Partition
from headrace.ingest.opening import require_kafka
from headrace.ingest.sqlite import SqliteLog
from headrace.ingest.topics import RUNS
from headrace.sdk.settings import BadSetting, Settings

if TYPE_CHECKING:
    import httpx

FRAMES = "application/vnd.headrace.frames"
EVENTS_PATH = "/api/headrace/v1/events"
_BLOCK = 1024 * 1024


class Unavailable(Exception):
    """The target cannot take it now; trying again may succeed. The message says why."""


class Refused(Exception):
    """The target will never take this; the message is its reason."""


class TooLarge(Exception):
    """The request was longer than the target takes."""


class Receipt(NamedTuple):
    """What became of a request that is durable now. rejected: index of the frame and reason, a pair each."""

    accepted: int
    rejected: Sequence[tuple[int, str]] = ()


class Artifact(msgspec.Struct, frozen=True):
    """A file that waits in the spool. number counts from 1; file is its name there; segment and offset say which events
    must be acknowledged before it is stored. model_id: of the logged model it belongs to, empty for a run's. files: for
    the last of a model's files, how many they are: with it the model is complete."""

    number: int
    run_id: str
    experiment_id: str
    path: str
    file: str
    size: int
    segment: int = 1
    offset: int = 0
    model_id: str = ""
    files: int = 0

    @property
    def owner(self) -> str:
        """The run or logged model whose files are stored in their order."""
        return self.model_id or self.run_id


class Transport(Protocol):
    """Takes frames and artifacts to a target. Used by one thread for each of both."""

    def send(self, frames: bytes, items: Sequence[Envelope | Malformed]) -> Receipt:
        """Make whole frames durable at the target; items are the same, decoded.

        Raises Unavailable, Refused (all of them), TooLarge.
        """
        ...

    def put_artifact(self, artifact: Artifact, file: Path) -> None:
        """Store a file. Storing it again changes nothing. Raises Unavailable, Refused."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


def is_http(uri: str) -> bool:
    """Whether the target is a server."""
    return uri.startswith(("http://", "https://"))


def folder_of(uri: str) -> Path:
    """The folder a tracking URI names. Raises BadSetting when it names none."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise BadSetting(f"{uri} names another host; a folder target is local")
        return Path(unquote(parts.path)).absolute()
    if parts.scheme and "://" in uri:
        raise BadSetting(
            f"{uri} has the unknown scheme {parts.scheme}; use http(s)://host:port, kafka://host:port, file:///folder"
            " or a path"
        )
    return Path(uri).expanduser().absolute()


def check_target(uri: str) -> str:
    """The tracking URI in its normal form: folders absolute, so that `sync` finds them. Raises BadSetting."""
    if is_http(uri):
        if not urlsplit(uri).hostname:
            raise BadSetting(f"{uri} names no host")
        return uri.rstrip("/")
    if is_kafka(uri):
        try:
            require_kafka()
            name = parse(uri).name
        except LogError as error:
            raise BadSetting(str(error)) from error
        _, mark, properties = uri.partition("?")
        return name + mark + properties
    return str(folder_of(uri))


def shown(uri: str) -> str:
    """A checked tracking URI as messages show it: without the properties of a kafka:// one, which hold secrets."""
    return uri.partition("?")[0] if is_kafka(uri) else uri


def open_transport(uri: str, settings: Settings) -> Transport:
    """The transport for a checked tracking URI. Raises Unavailable when its log cannot be opened now."""
    if is_kafka(uri):
        try:
            require_kafka()
        except LogError as error:
            raise Unavailable(str(error)) from error
        # An optional extra; and in the shipper's thread, since `import headrace` should not pay for it.
        from headrace.sdk.kafka_transport import KafkaTransport

        return KafkaTransport(uri, settings)
    return HttpTransport(uri, settings) if is_http(uri) else FolderTransport(Path(uri))


class HttpTransport:
    """A Headrace server."""

    def __init__(self, uri: str, settings: Settings, transport: httpx.BaseTransport | None = None) -> None:
        # Imported here, in the shipper's thread: `import headrace` in a trainer should not pay for it.
        # The codec is what the first name look-up would import.
        import encodings.idna  # noqa: F401

        import httpx

        self._httpx = httpx
        self._uri = uri
        timeout = httpx.Timeout(settings.request_timeout_s, connect=settings.connect_timeout_s)
        self._client = httpx.Client(timeout=timeout, transport=transport, headers={"user-agent": "headrace-sdk"})

    def send(self, frames: bytes, items: Sequence[Envelope | Malformed]) -> Receipt:
        response = self._request("POST", self._uri + EVENTS_PATH, content=frames, headers={"content-type": FRAMES})
        try:
            answer = response.json()
            rejected = [(int(item["index"]), str(item["reason"])) for item in answer.get("rejected", ())]
            return Receipt(int(answer["accepted"]), rejected)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unavailable(f"{self._uri} gave an answer that is not a Headrace server's") from error

    def put_artifact(self, artifact: Artifact, file: Path) -> None:
        digest = sha256_of(file)
        below = f"logged-models/{quote(artifact.model_id)}" if artifact.model_id else f"runs/{quote(artifact.run_id)}"
        url = f"{self._uri}/api/headrace/v1/{below}/artifacts/{quote(artifact.path)}"
        headers = {
            "x-headrace-sha256": digest,
            "content-length": str(file.stat().st_size),
            "content-type": mimetypes.guess_type(artifact.path)[0] or "application/octet-stream",
        }
        if artifact.files:
            headers["x-headrace-model-files"] = str(artifact.files)
        self._request("PUT", url, content=_blocks(file), headers=headers)

    def close(self) -> None:
        self._client.close()

    def _request(self, method: str, url: str, **arguments: Any) -> httpx.Response:
        try:
            response = self._client.request(method, url, **arguments)
        except (self._httpx.HTTPError, self._httpx.InvalidURL, OSError) as error:
            raise Unavailable(f"{self._uri}: {type(error).__name__}: {error}") from error
        if response.is_success:
            return response
        reason = f"{self._uri} answered {response.status_code}: {response.text[:500]}"
        if response.status_code == 413:
            raise TooLarge(reason)
        # Only what condemns the data itself is final. 401, 403, 404, 408, 429 and the like speak of the way there
        # (a proxy, a token, a server that starts), and trying again may succeed.
        if response.status_code in (400, 409, 415, 422):
            raise Refused(reason)
        raise Unavailable(reason)


class FolderTransport:
    """A local data folder with no server: straight to its log, artifacts beside it.

    No connection to the log is open while the process forks: SQLite keeps, for each file, what locks the process holds,
    and a child that inherits that would believe it holds its parent's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._log: SqliteLog | None = None
        with self._opened():
            pass
        _folders.add(self)
        self._experiment_of: dict[str, str] = {}
        self._scanned = 0

    def send(self, frames: bytes, items: Sequence[Envelope | Malformed]) -> Receipt:
        good = [item for item in items if isinstance(item, Envelope)]
        bad = [(index, str(item)) for index, item in enumerate(items) if not isinstance(item, Envelope)]
        with self._opened() as log:
            log.append(good)
        return Receipt(len(good), bad)

    def put_artifact(self, artifact: Artifact, file: Path) -> None:
        experiment_id = artifact.experiment_id or self._find_experiment(artifact.run_id)
        owner = f"models/{artifact.model_id}" if artifact.model_id else artifact.run_id
        root = self._folder / "artifacts" / experiment_id / owner / "artifacts"
        target = root / artifact.path
        digest = hashlib.sha256()
        temporary = target.with_name(f".{artifact.file}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as copy:
                for block in _blocks(file):
                    digest.update(block)
                    copy.write(block)
                copy.flush()
                os.fsync(copy.fileno())
            os.replace(temporary, target)
        except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
            temporary.unlink(missing_ok=True)
            raise Refused(f"{artifact.path} clashes with another artifact: {error}") from error
        except OSError as error:
            raise Unavailable(f"cannot write {target}: {error}") from error
        event: events.Event
        if not artifact.model_id:
            media_type = mimetypes.guess_type(artifact.path)[0] or ""
            event = events.ArtifactLogged(artifact.path, artifact.size, digest.hexdigest(), media_type)
        elif artifact.files:
            event = events.LoggedModelFinalized(finalized(sum(1 for one in root.rglob("*") if one.is_file()), artifact))
        else:
            return
        # Not of the writer's sequence: it is made here. Saying it twice changes nothing.
        envelope = Envelope(
            f"artifact:{artifact.file}", type_of(event), "sdk/folder",
            artifact.owner, int(target.stat().st_mtime_ns // 1_000_000), encode_event(event),
        )  # fmt: skip
        with self._opened() as log:
            log.append([envelope])

    def close(self) -> None:
        with self._lock:
            self._let_go()

    def before_fork(self) -> None:
        """Wait for what is under way, close the log, and begin nothing until after_fork."""
        self._lock.acquire()
        self._let_go()

    def after_fork(self) -> None:
        """Go on; in the child, too, the lock is free again."""
        self._lock.release()

    def _let_go(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None

    @contextmanager
    def _opened(self) -> Iterator[SqliteLog]:
        """The log, for one thread at a time. Raises Unavailable."""
        with self._lock:
            try:
                if self._log is None:
                    self._log = SqliteLog(self._folder / "log.db")
                yield self._log
            except LogError as error:
                raise Unavailable(str(error)) from error

    def _find_experiment(self, run_id: str) -> str:
        """The experiment of a run of which this process only knows the id."""
        partition = Partition(RUNS, 0)
        while run_id not in self._experiment_of:
            with self._opened() as log:
                records = log.read(partition, self._scanned, 10_000, 64 * 1024**2)
            if not records:
                return DEFAULT_EXPERIMENT_ID
            for record in records:
                self._scanned = record.position.offset + 1
                if record.envelope.type == "headrace.run.created":
                    try:
                        event = decode_event(record.envelope)
                    except (Malformed, UnknownType):
                        continue
                    assert isinstance(event, events.RunCreated)
                    self._experiment_of.setdefault(record.envelope.subject, event.experiment_id)
        return self._experiment_of[run_id]


_folders: weakref.WeakSet[FolderTransport] = weakref.WeakSet()


def before_fork() -> None:
    """Let no folder's log be open in a child."""
    for folder in list(_folders):
        folder.before_fork()


def after_fork() -> None:
    """Go on, in the parent and in the child."""
    for folder in list(_folders):
        folder.after_fork()


def finalized(stored: int, last: Artifact) -> str:
    """The status of a logged model whose last file is stored, among so many: one that lacks some has failed."""
    return "LOGGED_MODEL_READY" if stored >= last.files else "LOGGED_MODEL_UPLOAD_FAILED"


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file's bytes, in hex, read in blocks."""
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _blocks(file: Path) -> Iterator[bytes]:
    with open(file, "rb") as opened:
        while block := opened.read(_BLOCK):
            yield block
