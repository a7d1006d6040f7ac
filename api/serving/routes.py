"""The routes of model endpoints: what they are and how they stand, changes of them, and what they predicted lately."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response
from headrace.api.errors import ApiError, invalid, missing
from headrace.api.mlflow.wire import json_response
from headrace.api.services import Services, services
from headrace.api.serving.data_plane import answered
from headrace.api.serving.resolving import resolve
from headrace.api.serving.served import Version
from headrace.api.serving.told import EndpointInfo, info
from headrace.api.structs import decoded, documented, schemas
from headrace.ingest import codec, events
from headrace.ingest.events import EndpointOptions, EndpointRoute
from headrace.ingest.topics import REGISTRY, RUNS
from headrace.processors.endpoints import Endpoint, name_fault, subject_of
from headrace.processors.registry import Registry
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["endpoints"])
PATH = "/api/headrace/v1/endpoints"
LOGS_MAX = 1_000
WAIT_MAX_S = 600.0


class CreateRequest(msgspec.Struct, frozen=True):
    """A new endpoint. routes: its models and their weights; or one, as `model`. shadow: gets a copy of the traffic."""

    name: str
    model: str = ""
    routes: list[EndpointRoute] = []
    shadow: str = ""
    options: EndpointOptions = EndpointOptions()


class UpdateRequest(msgspec.Struct, frozen=True):
    """What changes; what is left out or null stays. shadow: empty for none. options: those that are named change."""

    model: str | None = None
    routes: list[EndpointRoute] | None = None
    shadow: str | None = None
    options: dict[str, Any] | None = None


class ListResponse(msgspec.Struct, frozen=True):
    """By name."""

    endpoints: list[EndpointInfo]


class Prediction(msgspec.Struct, frozen=True):
    """A request that was logged. time_ms: when it was answered, since the epoch, UTC. position: where in the log."""

    position: str
    time_ms: int
    prediction: events.PredictionLogged


class LogsResponse(msgspec.Struct, frozen=True):
    """The newest first."""

    predictions: list[Prediction]


_CREATE, _UPDATE, _INFO, _LIST, _LOGS = schemas(CreateRequest, UpdateRequest, EndpointInfo, ListResponse, LogsResponse)
_decode_create = msgspec.json.Decoder(CreateRequest)
_decode_update = msgspec.json.Decoder(UpdateRequest)


@router.get(PATH, summary="All endpoints and how they stand", openapi_extra=documented(None, _LIST))
async def get_endpoints(request: Request, as_of: str = "") -> Response:
    """Every endpoint, by name. as_of: those of a moment, and what their routes named then."""
    s = services(request)
    registry = await s.past.registry(as_of)
    s.fleet.refresh()
    found = sorted(registry.endpoints.values(), key=lambda one: one.name)
    return json_response(ListResponse([_info(s, one, registry if as_of else None) for one in found]))


@router.get(f"{PATH}/{{name}}", summary="An endpoint and how it stands", openapi_extra=documented(None, _INFO))
async def get_endpoint(
    request: Request, name: str, wait_s: Annotated[float, Query(ge=0, le=WAIT_MAX_S)] = 0.0, as_of: str = ""
) -> Response:
    """Which version serves behind each route, what loads, and why one does not. wait_s: until nothing loads, so long at
    most. as_of: what the endpoint was at a moment, and what its routes named then."""
    s = services(request)
    if as_of:
        registry = await s.past.registry(as_of)
        return json_response(_info(s, _held(registry, name), registry))
    state = await _state(s, name)
    s.fleet.refresh()
    server = s.fleet.endpoints.get(name)
    if server is not None and wait_s:
        await server.settled(wait_s)
        state = s.engine.registry.endpoints.get(name, state)
    return json_response(_info(s, state))


@router.post(PATH, summary="Create an endpoint", openapi_extra=documented(_CREATE, _INFO))
async def post_endpoint(request: Request) -> Response:
    """Of two that ask for one name the first in the log gets it. The answer does not wait for models to load."""
    asked, s = decoded(_decode_create, await request.body(), "endpoint"), services(request)
    fault = name_fault(asked.name)
    if fault is not None:
        raise invalid(f"Invalid endpoint name {asked.name!r}: {fault}")
    routes = _routes(asked.model, asked.routes)
    if not routes:
        raise invalid("Invalid endpoint request: name the model by `model`, or several by `routes`")
    created = events.EndpointCreated(routes, asked.shadow, asked.options)
    refusal = await s.tracking.command(subject_of(asked.name), created)
    if refusal is not None:
        raise ApiError("RESOURCE_ALREADY_EXISTS", refusal) if refusal.endswith("already exists.") else invalid(refusal)
    s.fleet.refresh()
    return json_response(_info(s, await _state(s, asked.name)))


@router.patch(f"{PATH}/{{name}}", summary="Change an endpoint", openapi_extra=documented(_UPDATE, _INFO))
async def patch_endpoint(request: Request, name: str) -> Response:
    """Other routes, weights, shadow or options. What serves goes on until what is new can answer."""
    asked, s = decoded(_decode_update, await request.body(), "endpoint"), services(request)
    state = await _state(s, name)
    routes = _routes(asked.model or "", asked.routes or []) or None
    options = None if asked.options is None else _merged(state.options, asked.options)
    refusal = await s.tracking.command(subject_of(name), events.EndpointUpdated(routes, asked.shadow, options))
    if refusal is not None:
        raise missing(refusal) if refusal.endswith("exists") else invalid(refusal)
    s.fleet.refresh()
    return json_response(_info(s, await _state(s, name)))


@router.delete(f"{PATH}/{{name}}", summary="Delete an endpoint", openapi_extra=documented(None, {"type": "object"}))
async def delete_endpoint(request: Request, name: str) -> Response:
    """Requests that were begun are answered; what it logged stays."""
    s = services(request)
    refusal = await s.tracking.command(subject_of(name), events.EndpointDeleted())
    if refusal is not None:
        raise missing(refusal)
    s.fleet.refresh()
    return json_response({})


@router.get(f"{PATH}/{{name}}/logs", summary="The newest logged predictions", openapi_extra=documented(None, _LOGS))
async def get_endpoint_logs(
    request: Request, name: str, max_results: Annotated[int, Query(ge=1, le=LOGS_MAX)] = 100
) -> Response:
    """What was sampled of an endpoint's requests and answers, of one that was deleted too; all of it is in the SQL view
    `predictions`."""
    s = services(request)
    if name_fault(name) is not None:
        raise missing(f"No endpoint {name!r} exists")
    await s.tracking.caught_up()
    rows = await run_in_threadpool(_logs, s, name, max_results)
    if not rows and name not in s.engine.registry.endpoints:
        raise missing(f"No endpoint {name!r} exists")
    return json_response(LogsResponse(rows))


def _logs(s: Services, name: str, limit: int) -> list[Prediction]:
    sql = (
        "SELECT partition, offset, time_ms, data FROM events WHERE subject = {subject:String}"
        " AND topic = {topic:String} AND type = {type:String} ORDER BY partition DESC, offset DESC LIMIT {limit:UInt64}"
    )
    asked = {
        "subject": subject_of(name),
        "topic": RUNS,
        "type": codec.type_of(events.PredictionLogged),
        "limit": limit,
    }
    return [
        Prediction(f"{RUNS}/{partition}/{offset}", time_ms, msgspec.json.decode(data, type=events.PredictionLogged))
        for partition, offset, time_ms, data in s.views.rows(sql, asked)
    ]


async def _state(s: Services, name: str) -> Endpoint:
    await s.tracking.folded(REGISTRY)
    return _held(s.engine.registry, name)


def _held(registry: Registry, name: str) -> Endpoint:
    found = registry.endpoints.get(name)
    if found is None:
        raise missing(f"No endpoint {name!r} exists")
    return found


def _info(s: Services, state: Endpoint, past: Registry | None = None) -> EndpointInfo:
    """past: the registry of the moment that was asked for."""

    def named(uri: str) -> Version:
        return resolve(past or s.engine.registry, uri, s.settings.endpoint_models)

    server = s.fleet.endpoints.get(state.name) if past is None else None
    return info(state, server, s.fleet.predictions.dropped, named, past is not None)


def _routes(model: str, routes: list[EndpointRoute]) -> list[EndpointRoute]:
    if model and routes:
        raise invalid("Invalid endpoint request: name one model by `model`, or several by `routes`, not by both")
    return [EndpointRoute(model)] if model else routes


def _merged(before: EndpointOptions, changes: dict[str, Any]) -> EndpointOptions:
    unknown = sorted(changes.keys() - set(EndpointOptions.__struct_fields__))
    if unknown:
        known = ", ".join(EndpointOptions.__struct_fields__)
        raise invalid(f"Invalid endpoint request: there are no options {', '.join(unknown)}; known are {known}")
    held = {name: getattr(before, name) for name in EndpointOptions.__struct_fields__}
    try:
        return msgspec.convert(held | changes, EndpointOptions)
    except msgspec.ValidationError as error:
        raise invalid(f"Invalid endpoint request: options: {error}") from error


# --- scoring, for the OpenAPI document: the data plane answers before the framework looks -----------------------------

_SCORED: dict[str, Any] = {
    "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
    "responses": {"200": {"content": {"application/json": {"schema": {"type": "object"}}}}},
}


async def _scored(request: Request, name: str, path: str) -> Response:
    fleet = services(request).fleet
    answer = await answered(fleet, name, request.method, path, list(request.headers.raw), await request.body())
    response = Response(answer.body, answer.status)
    response.raw_headers.extend(answer.headers)
    return response


@router.post("/endpoints/{name}/invocations", summary="Ask an endpoint for predictions", openapi_extra=_SCORED)
async def post_invocations(request: Request, name: str) -> Response:
    """MLflow's scoring protocol, answered by a worker of the version that serves."""
    return await _scored(request, name, "/invocations")


@router.get("/endpoints/{name}/ping", summary="Whether an endpoint answers", include_in_schema=False)
@router.get("/endpoints/{name}/health", summary="Whether an endpoint answers", include_in_schema=False)
async def get_ping(request: Request, name: str) -> Response:
    """200 where a worker answers, 503 with the reason where none does."""
    return await _scored(request, name, "/ping")


@router.get("/endpoints/{name}/version", summary="The version of Headrace that answers", include_in_schema=False)
async def get_version(request: Request, name: str) -> Response:
    """As text."""
    return await _scored(request, name, "/version")


@router.get("/endpoints/{name}/v2", summary="The Open Inference Protocol: the server", include_in_schema=False)
async def get_v2(request: Request, name: str) -> Response:
    """Its metadata."""
    return await _scored(request, name, "/v2")


@router.get("/endpoints/{name}/v2/{path:path}", summary="The Open Inference Protocol V2", include_in_schema=False)
@router.post("/endpoints/{name}/v2/{path:path}", summary="The Open Inference Protocol V2", include_in_schema=False)
async def any_v2(request: Request, name: str, path: str) -> Response:
    """Health, metadata and infer, answered by a worker of the version that serves."""
    return await _scored(request, name, f"/v2/{path}")
