"""The packages that were installed where a run was trained, as the SDK stored them beside it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from headrace.api.artifacts import SCHEME, store_path
from headrace.api.errors import ApiError
from headrace.api.services import Services
from headrace.processors.runs import RunState

PATH: Final = "environment/requirements.txt"
BYTES_MAX: Final = 256 * 1024


class _TooLong(Exception):
    """The file is longer than BYTES_MAX."""


async def packages(s: Services, state: RunState) -> dict[str, str]:
    """Versions by name; empty where nothing was stored, or what is there is no such list."""
    if not state.artifact_uri.startswith(SCHEME):
        return {}
    try:
        response = await s.artifacts.response(store_path(state.artifact_uri, PATH), {})
        text = (await _body(response)).decode("utf-8", "replace")
    except (ApiError, _TooLong):
        return {}
    found = {}
    for line in text.splitlines():
        name, equal, version = line.partition("==")
        if equal and not name.startswith("#"):
            found[name.strip()] = version.strip()
    return found


async def _body(response: Any) -> bytes:
    """What a response would send. A store answers with responses of several kinds, and all of them can be called."""
    parts: list[bytes] = []
    status = 0

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        parts.append(message.get("body", b""))
        if sum(map(len, parts)) > BYTES_MAX:
            raise _TooLong

    async def receive() -> dict[str, Any]:
        # The one who reads does not leave.
        await asyncio.Event().wait()
        raise AssertionError

    await response({"type": "http", "method": "GET", "headers": [], "asgi": {"spec_version": "2.4"}}, receive, send)
    return b"".join(parts) if status == 200 else b""
