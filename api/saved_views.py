"""The routes of saved views: names for what the page shows, kept as events like everything else."""

from __future__ import annotations

import uuid

import msgspec
from fastapi import APIRouter, Request, Response
from headrace.api.errors import ApiError, invalid, missing
from headrace.api.mlflow.wire import json_response
from headrace.api.services import Services, services
from headrace.api.structs import decoded, documented, schemas
from headrace.ingest import events
from headrace.ingest.topics import REGISTRY
from headrace.processors.saved_views import SUBJECT, SavedView, is_view_id

router = APIRouter(tags=["saved views"])
PATH = "/api/headrace/v1/views"


class CreateRequest(msgspec.Struct, frozen=True):
    """A new view. path: of the page, as `/experiments/1`; query: what it shows there, as in the address bar."""

    name: str
    path: str
    query: str = ""
    note: str = ""


class UpdateRequest(msgspec.Struct, frozen=True):
    """What changes; what is left out or null stays."""

    name: str | None = None
    query: str | None = None
    note: str | None = None


class ListResponse(msgspec.Struct, frozen=True):
    """By path and name."""

    views: list[SavedView]


_CREATE, _UPDATE, _VIEW, _LIST = schemas(CreateRequest, UpdateRequest, SavedView, ListResponse)
_decode_create = msgspec.json.Decoder(CreateRequest)
_decode_update = msgspec.json.Decoder(UpdateRequest)


@router.get(PATH, summary="Saved views", openapi_extra=documented(None, _LIST))
async def get_views(request: Request, path: str = "", as_of: str = "") -> Response:
    """All of them, or those of one path of the page. as_of: those of a moment."""
    registry = await services(request).past.registry(as_of)
    held = [view for view in list(registry.saved_views.by_id.values()) if not path or view.path == path]
    return json_response(ListResponse(sorted(held, key=lambda view: (view.path, view.name.casefold(), view.name))))


@router.get(f"{PATH}/{{view_id}}", summary="A saved view", openapi_extra=documented(None, _VIEW))
async def get_view(request: Request, view_id: str, as_of: str = "") -> Response:
    """As it is, or as it was at a moment."""
    registry = await services(request).past.registry(as_of)
    return json_response(_held(registry.saved_views.by_id.get(view_id), view_id))


@router.post(PATH, summary="Save a view", openapi_extra=documented(_CREATE, _VIEW))
async def post_view(request: Request) -> Response:
    """Of two that ask for one name at a path the first in the log gets it."""
    asked, s = decoded(_decode_create, await request.body(), "saved view"), services(request)
    view_id = uuid.uuid4().hex
    created = events.SavedViewCreated(asked.name.strip(), asked.path, asked.query.lstrip("?"), asked.note)
    return await _changed(s, view_id, created)


@router.patch(f"{PATH}/{{view_id}}", summary="Change a saved view", openapi_extra=documented(_UPDATE, _VIEW))
async def patch_view(request: Request, view_id: str) -> Response:
    """Another name, another query or another note."""
    asked, s = decoded(_decode_update, await request.body(), "saved view"), services(request)
    name = None if asked.name is None else asked.name.strip()
    query = None if asked.query is None else asked.query.lstrip("?")
    return await _changed(s, view_id, events.SavedViewUpdated(name, query, asked.note))


@router.delete(f"{PATH}/{{view_id}}", summary="Delete a saved view", openapi_extra=documented(None, {"type": "object"}))
async def delete_view(request: Request, view_id: str) -> Response:
    """Its name is free; its history stays."""
    refusal = await _command(services(request), view_id, events.SavedViewDeleted())
    if refusal is not None:
        raise missing(refusal)
    return json_response({})


async def _command(s: Services, view_id: str, event: events.Event) -> str | None:
    if not is_view_id(view_id):
        raise missing(f"There is no saved view {view_id}")
    return await s.tracking.command(SUBJECT + view_id, event)


async def _changed(s: Services, view_id: str, event: events.Event) -> Response:
    refusal = await _command(s, view_id, event)
    if refusal is not None:
        raise _refused(refusal)
    await s.tracking.folded(REGISTRY)
    return json_response(_held(s.engine.registry.saved_views.by_id.get(view_id), view_id))


def _refused(refusal: str) -> ApiError:
    if refusal.endswith("exists already"):
        return ApiError("RESOURCE_ALREADY_EXISTS", refusal)
    return missing(refusal) if refusal.startswith("There is no") else invalid(refusal)


def _held(view: SavedView | None, view_id: str) -> SavedView:
    if view is None:
        raise missing(f"There is no saved view {view_id}")
    return view
