"""What every artifact store does, and what it is told and tells; no store is named here."""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fastapi import Response
from headrace.api.errors import ApiError, invalid
from headrace.ingest.limits import artifact_path_fault

RESERVED = (".incoming", ".uploads")
"""First parts of paths that stores keep for themselves; refused on all of them, so that a move stays open."""
PARTS_MAX = 10_000
"""Most parts of a multipart upload; also S3's limit."""
UPLOAD_KEPT_S = 7 * 24 * 3600
"""How long the parts of an upload that nobody completes are kept."""
DOWNLOAD_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}
"""On every download: no browser runs it in our origin, no page of another origin uses it, and none shows an old one."""
_SHOWN_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; media-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""Of what is shown in its place: an origin of its own, no script, no request to anywhere, its own styles and images."""


class StoreUnavailable(Exception):
    """The artifact store cannot be used; the message says why in one line."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that was stored. size in bytes; sha256 in hex, empty where its bytes did not pass through the server."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a folder. size in bytes, None for a folder."""

    path: str
    size: int | None


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart upload: its number from 1, and the ETag that the upload of the part answered."""

    number: int
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload that was begun.

    urls: where the client puts each part, in order, when it can reach the store itself; None when the parts go to the
    server.
    """

    id: str
    urls: Sequence[str] | None = None


class ArtifactStore(Protocol):
    """Files by path. Paths are relative, with slashes; a path that climbs out is refused.

    Every method that takes a path raises INVALID_PARAMETER_VALUE for a wrong one, and TEMPORARILY_UNAVAILABLE when the
    store does not work. `check`, `list` and `delete` block: call them from a thread.
    """

    name: str
    """What messages call it."""
    multipart: bool
    """Whether it takes multipart uploads."""
    direct: bool
    """Whether clients are sent to the store itself for parts and large downloads."""

    def check(self) -> None:
        """Raises StoreUnavailable when the store is not there or does not let us in."""

    def forget_old_uploads(self) -> None:
        """Drop what is left of multipart uploads that nobody completed for UPLOAD_KEPT_S. Never raises."""

    async def write(self, path: str, chunks: AsyncIterator[bytes], sha256: str = "", size: int | None = None) -> Stored:
        """Store a file as it comes in; readers see the old one or the whole new one.

        sha256: what it must hash to, in hex, if given. size: its bytes, if known beforehand; a hint. Raises
        INVALID_PARAMETER_VALUE when the hash differs, and whatever `chunks` raises: then nothing is left of it.
        """

    async def response(self, path: str, headers: Mapping[str, str]) -> Response:
        """A file, as a download that no browser runs in our origin.

        headers: the request's; a range is answered. Raises RESOURCE_DOES_NOT_EXIST.
        """

    def read(self, path: str) -> AsyncIterator[bytes]:
        """The bytes of a file, in blocks, for the server itself. Raises RESOURCE_DOES_NOT_EXIST with the first."""

    def list(self, path: str) -> list[Entry]:
        """What is in a folder, by name; nothing for a file or a path that is not there. Paths are relative to it."""

    def delete(self, path: str) -> None:
        """Delete a file or a folder; nothing happens where there is none."""

    async def begin(self, path: str, count: int) -> Upload:
        """Begin a multipart upload of `count` parts, 1 to PARTS_MAX. Raises NOT_IMPLEMENTED where there is none."""

    async def put_part(
        self, path: str, upload_id: str, number: int, chunks: AsyncIterator[bytes], size: int | None = None
    ) -> str:
        """Store a part; sending it again replaces it. Returns its ETag. Raises RESOURCE_DOES_NOT_EXIST."""

    async def complete(self, path: str, upload_id: str, parts: Sequence[Part]) -> Stored:
        """Join the parts that are named, in order of number, into the file.

        Raises INVALID_PARAMETER_VALUE when one is not there, RESOURCE_DOES_NOT_EXIST for an upload that is not known.
        """

    async def abort(self, path: str, upload_id: str) -> None:
        """Forget an upload and its parts. Raises RESOURCE_DOES_NOT_EXIST."""

    async def download_url(self, path: str) -> tuple[str, int]:
        """A URL that reads the file from the store for a while, and its size in bytes.

        Raises NOT_IMPLEMENTED where the store is not direct, RESOURCE_DOES_NOT_EXIST.
        """


def checked(path: str) -> str:
    """The path, when it is one of the store's. Raises INVALID_PARAMETER_VALUE."""
    fault = artifact_path_fault(path)
    if fault is not None or path.split("/")[0] in RESERVED:
        raise invalid(f"Invalid path: {path!r}: {fault or 'the name is reserved'}")
    return path


def differs(path: str, arrived: str, sha256: str) -> ApiError:
    """A file did not hash to what its sender said."""
    return invalid(f"{path!r} arrived with SHA-256 {arrived}, not {sha256}: send it again")


def no_upload(upload_id: str) -> ApiError:
    """There is no such multipart upload."""
    return ApiError(
        "RESOURCE_DOES_NOT_EXIST", f"There is no upload {upload_id!r}; it may have been completed or aborted"
    )


def no_multipart() -> ApiError:
    """The store takes no multipart uploads; MLflow's client knows these words and sends the file whole."""
    return ApiError("NOT_IMPLEMENTED", "Multipart upload is not supported for the current artifact repository")


def no_direct() -> ApiError:
    """The store hands out no URLs of its own; MLflow's client then downloads through the server."""
    return ApiError("NOT_IMPLEMENTED", "Presigned download is not supported for the current artifact repository")


_types = mimetypes.MimeTypes()
"""Python's own table, whatever the machine has in /etc/mime.types, and what it lacks."""
for _ending, _type in {
    ".flac": "audio/flac",
    ".jsonl": "application/jsonl",
    ".m4a": "audio/mp4",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".parquet": "application/vnd.apache.parquet",
    ".toml": "application/toml",
    ".webp": "image/webp",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}.items():
    _types.add_type(_type, _ending)


def media_type(path: str) -> str:
    """By the name's ending; what is compressed is that, whatever it holds."""
    found, compressed = _types.guess_type(path.rsplit("/", 1)[-1])
    if compressed is not None:
        return "application/gzip" if compressed == "gzip" else "application/octet-stream"
    return found or "application/octet-stream"


def served_type(path: str) -> str:
    """The type a file is answered with: a script or style is plain text, so that no page of our origin loads it."""
    found = media_type(path)
    return "text/plain" if found == "text/css" or found.endswith(("javascript", "ecmascript")) else found


def shown(response: Response) -> Response:
    """A download that a browser may show instead, in a sandbox without script and without requests."""
    named = response.headers.get("content-disposition", "attachment")
    response.headers["content-disposition"] = "inline" + named.removeprefix("attachment")
    response.headers["content-security-policy"] = _SHOWN_POLICY
    return response
