"""The page at / and its files, from the installed package: no network, no Node, a strict content policy."""

from __future__ import annotations

import gzip
import hashlib
import html
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Request, Response
from headrace.api.errors import ApiError

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
"""What is served, by the end of its name; other files of the package are not."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_FOREVER = "public, max-age=31536000, immutable"
_ASK_FIRST = "no-cache"
_GZIP_BYTES_MIN = 1024


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent. etag: quoted; gzipped: the same, smaller, or None where that does not pay."""

    content: bytes
    gzipped: bytes | None
    media_type: str
    etag: str


class Page:
    """The page's files in memory. digest names them all: an address with it never changes its content."""

    def __init__(self, root: Traversable, version: str) -> None:
        """root: the folder with index.html, in which {{base}} and {{version}} are filled in."""
        sources = dict(sorted(_walk(root, "")))
        whole = hashlib.sha256(version.encode())
        for path, content in sources.items():
            whole.update(path.encode() + b"\0" + content + b"\0")
        self.digest = whole.hexdigest()[:16]
        index = sources.pop("index.html").decode()
        index = index.replace("{{base}}", f"/ui/{self.digest}").replace("{{version}}", html.escape(version))
        self.index = _asset("index.html", index.encode())
        self.assets = {path: _asset(path, content) for path, content in sources.items()}


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        path = prefix + entry.name
        if entry.is_dir():
            yield from _walk(entry, path + "/")
        elif _suffix(path) in TYPES:
            yield path, entry.read_bytes()


def _suffix(path: str) -> str:
    return "." + path.rsplit(".", 1)[-1]


def _asset(path: str, content: bytes) -> Asset:
    small = gzip.compress(content, 6, mtime=0) if len(content) >= _GZIP_BYTES_MIN else None
    return Asset(content, small, TYPES[_suffix(path)], f'"{hashlib.sha256(content).hexdigest()[:32]}"')


def _version() -> str:
    try:
        return version("headrace")
    except PackageNotFoundError:
        return "0"


def _response(request: Request, asset: Asset, cache_control: str) -> Response:
    headers = {**HEADERS, "ETag": asset.etag, "Cache-Control": cache_control, "Vary": "Accept-Encoding"}
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    content = asset.content
    if asset.gzipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        content = asset.gzipped
        headers["Content-Encoding"] = "gzip"
    return Response(content, media_type=asset.media_type, headers=headers)


page = Page(files("headrace.api.ui").joinpath("dist"), _version())
"""The page of this installation."""

router = APIRouter(include_in_schema=False)


@router.api_route("/", methods=["GET", "HEAD"])
async def get_index(request: Request) -> Response:
    """The page itself: asked for anew each time, so that an upgrade is seen at once."""
    return _response(request, page.index, _ASK_FIRST)


@router.api_route("/favicon.ico", methods=["GET", "HEAD"])
async def get_favicon(request: Request) -> Response:
    """The logo, for browsers that ask without being told."""
    return _response(request, page.assets["logo.svg"], _ASK_FIRST)


@router.api_route("/ui/{path:path}", methods=["GET", "HEAD"])
async def get_asset(request: Request, path: str) -> Response:
    """A file of the page: below the digest it may be kept for ever, without it it is asked for anew."""
    digest, _, rest = path.partition("/")
    asset = page.assets.get(rest) if digest == page.digest else page.assets.get(path)
    if asset is None:
        raise ApiError("ENDPOINT_NOT_FOUND", f"The page has no file {path!r}")
    return _response(request, asset, _FOREVER if digest == page.digest else _ASK_FIRST)
