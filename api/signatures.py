"""What a model takes and answers, as its MLmodel says: its signature, its flavors, and an example of a request."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
import yaml
from fastapi import APIRouter, Request, Response
from headrace.api.artifacts import store_path
from headrace.api.errors import ApiError, missing
from headrace.api.model_sources import location_of
from headrace.api.services import Services, services
from headrace.api.serving.resolving import ANY, Unresolved, resolve
from headrace.api.structs import documented, schemas
from headrace.processors.registry import Registry
from headrace.sdk.models import mlmodel
from headrace.sdk.models.mlmodel import Metadata, NoModel
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["registered models"])
DESCRIPTION_BYTES_MAX: Final = 1024 * 1024
EXAMPLE_BYTES_MAX: Final = 64 * 1024
"""A longer example is left out: nobody would read it in a form."""


class SignatureResponse(msgspec.Struct, frozen=True):
    """model: the version or logged model that the URI names. inputs, outputs, params: lists as MLmodel has them, null
    where nothing is known. example: the body of a request, as it is sent to an endpoint; empty for none. unknown: why
    nothing is known of any of it; empty where something is."""

    model: str
    inputs: Any
    outputs: Any
    params: Any
    flavors: list[str]
    example: str
    unknown: str = ""


@router.get(
    "/api/headrace/v1/signature",
    summary="What a model takes and answers",
    openapi_extra=documented(None, *schemas(SignatureResponse)),
)
async def get_signature(request: Request, uri: str, as_of: str = "") -> Response:
    """uri: models:/NAME/3, models:/NAME@ALIAS, models:/NAME/STAGE, or models:/m-… of a logged model, whose files are in
    this server's store. as_of: what the URI named at a moment."""
    s = services(request)
    registry = await s.past.registry(as_of)
    try:
        label, location = _located(registry, uri)
    except Unresolved as error:
        raise missing(f"{uri} names no model: {error}") from None
    try:
        root = store_path(location)
        said = await run_in_threadpool(_parsed, await _read(s, f"{root}/{mlmodel.FILE}", DESCRIPTION_BYTES_MAX))
    except NoModel as error:
        return _answer(SignatureResponse(label, None, None, None, [], "", f"{mlmodel.FILE} cannot be read: {error}"))
    except ApiError as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return _answer(SignatureResponse(label, None, None, None, [], "", error.message))
    signature = said.signature.to_dict() if said.signature is not None else {}
    inputs, outputs, params = (
        json.loads(text) if (text := signature.get(part)) else None for part in ("inputs", "outputs", "params")
    )
    example = await _example(s, root, said.saved_input_example_info)
    return _answer(SignatureResponse(label, inputs, outputs, params, list(said.flavors), example))


def _answer(told: SignatureResponse) -> Response:
    return Response(msgspec.json.encode(told), media_type="application/json")


def _located(registry: Registry, uri: str) -> tuple[str, str]:
    """What a URI names and where its files lie. Raises Unresolved."""
    found = resolve(registry, uri, ANY)
    model = registry.models.by_name.get(found.model)
    version = model.version(int(found.version)) if model is not None and found.version else None
    return found.label, found.location if version is None else location_of(registry, version)


def _parsed(text: bytes | None) -> Metadata:
    """Raises NoModel; None is a text that is too long."""
    if text is None:
        raise NoModel(f"it has over {DESCRIPTION_BYTES_MAX:,} bytes")
    try:
        said = mlmodel.load(text.decode("utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise NoModel(f"it is no YAML: {error}") from error
    if not isinstance(said, dict):
        raise NoModel("it is no description of a model")
    return Metadata.from_dict(said)


async def _example(s: Services, root: str, info: Any) -> str:
    """The body of the example request that the model was saved with; empty where there is none to show."""
    path = info.get("serving_input_path") if isinstance(info, dict) else None
    if not isinstance(path, str):
        return ""
    try:
        body = await _read(s, f"{root}/{path}", EXAMPLE_BYTES_MAX)
        return (body or b"").decode("utf-8")
    except (ApiError, UnicodeDecodeError):
        return ""


async def _read(s: Services, path: str, most: int) -> bytes | None:
    """A file of the store; None for one of more bytes."""
    found = bytearray()
    async for block in s.artifacts.read(path):
        found += block
        if len(found) > most:
            return None
    return bytes(found)
