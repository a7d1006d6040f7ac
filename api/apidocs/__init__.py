"""The API reference at /docs: Swagger UI from the installed package, so that it needs no network."""

from __future__ import annotations

from importlib.resources import as_file, files

from fastapi import APIRouter
from headrace.api.errors import ApiError
from starlette.responses import FileResponse, Response

router = APIRouter(include_in_schema=False)
TYPES = {
    "index.html": "text/html; charset=utf-8",
    "start.js": "text/javascript; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
}
HEADERS = {
    # Swagger UI sets styles on elements and has its icons in data: addresses.
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


@router.get("/docs")
async def get_docs() -> Response:
    """The reference."""
    return _file("index.html")


@router.get("/docs/{name}")
async def get_file(name: str) -> Response:
    """One of its files."""
    if name not in TYPES:
        raise ApiError("ENDPOINT_NOT_FOUND", f"The API reference has no file {name!r}")
    return _file(name)


def _file(name: str) -> Response:
    with as_file(files("headrace.api.apidocs") / name) as path:
        return FileResponse(path, media_type=TYPES[name], headers=HEADERS)
