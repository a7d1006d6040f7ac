"""The way of a scoring request through this process: past the framework, its body unparsed, to a worker and back."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, Final

import msgspec
from headrace.api.direct import Exact
from headrace.sdk.serving.faults import JSON_TYPE, Answer, Refused
from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from headrace.api.serving.fleet import Fleet

PREFIX: Final = "/endpoints/"
_PATH = re.compile(r"/endpoints/([^/]+)(/(?:invocations|ping|health|version|v2(?:/.*)?))", re.DOTALL)
_PASSED = {
    b"content-type": "content-type",
    b"accept": "accept",
    b"content-encoding": "content-encoding",
    b"inference-header-content-length": "inference-header-content-length",
}
"""The headers a worker gets. Others may be secrets, and a model is code."""
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_ROUTES = {name: Exact(f"/endpoints/{{name}}/{name}") for name in ("invocations", "ping", "health", "version", "v2")}


class DataPlane:
    """ASGI middleware that answers what is below /endpoints/NAME, and hands on all else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        found = _PATH.fullmatch(scope["path"])
        if found is None:
            await self._app(scope, receive, send)
            return
        name, path = found.groups()
        scope["route"] = _ROUTES[path[1:].partition("/")[0]]
        body = await _body(receive)
        if body is None:
            return  # the client has gone
        fleet: Fleet = scope["app"].state.services.fleet
        answer = await answered(fleet, name, scope["method"], path, scope["headers"], body)
        headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body))]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body if scope["method"] != "HEAD" else b""})


async def answered(
    fleet: Fleet, name: str, method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes
) -> Answer:
    """The answer of an endpoint. path: below its own. headers: as ASGI has them."""
    passed: dict[str, str] = {}
    request_id = b""
    for key, value in headers:
        if key in _PASSED:
            passed[_PASSED[key]] = value.decode("latin-1")
        elif key == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            request_id = value
    sticky = bool(request_id)
    request_id = request_id or uuid.uuid4().hex.encode()
    more: list[tuple[bytes, bytes]] = [(b"x-request-id", request_id)]
    try:
        endpoint = fleet.endpoints.get(name) or fleet.missing(name)
        answer, served = await endpoint.answer([method, path, passed], body, request_id.decode(), sticky)
        more.append((b"x-headrace-model", served.version.label.encode("ascii", "replace")))
    except Refused as error:
        answer = error.answer()  # type: ignore[assignment]
    if answer.status >= 400 and path.startswith("/v2") and _is_ours(answer.body):
        answer = answer._replace(headers=[JSON_TYPE], body=_as_v2(answer.body))
    return Answer(answer.status, (*answer.headers, *more), answer.body)


def _is_ours(body: bytes) -> bool:
    return body.startswith(b'{"error_code"')


def _as_v2(body: bytes) -> bytes:
    """An error as the Open Inference Protocol writes it."""
    told: Any = msgspec.json.decode(body)
    return msgspec.json.encode({"error": told.get("message", "")})


async def _body(receive: Receive) -> bytes | None:
    message = await receive()
    if message["type"] == "http.disconnect":
        return None
    first: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return first
    parts = [first]
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
    return b"".join(parts)
