"""Errors as clients see them: MLflow's error codes, each with its HTTP status, and the one shape they travel in."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from headrace.api.appender import AppendRefused
from headrace.api.filter import FilterError
from headrace.ingest.log import LogUnavailable
from headrace.ingest.past import ItIsPast
from headrace.processors.views import ViewsUnavailable
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

logger = logging.getLogger("headrace.api")

STATUS = {
    "BAD_REQUEST": 400,
    "INVALID_PARAMETER_VALUE": 400,
    "RESOURCE_ALREADY_EXISTS": 400,
    "MALFORMED_REQUEST": 400,
    "PERMISSION_DENIED": 403,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "ENDPOINT_NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "REQUEST_ENTITY_TOO_LARGE": 413,
    "REQUEST_LIMIT_EXCEEDED": 429,
    "INTERNAL_ERROR": 500,
    "INVALID_STATE": 500,
    "NOT_IMPLEMENTED": 501,
    "WORKER_ENDED": 502,
    "TEMPORARILY_UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""HTTP status of each error code, as MLflow's server answers them; REQUEST_ENTITY_TOO_LARGE and WORKER_ENDED are
ours."""


class ApiError(Exception):
    """A fault to tell the client: error_code from STATUS, and a message for people."""

    def __init__(self, error_code: str, message: str) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.message = message


def invalid(message: str) -> ApiError:
    """INVALID_PARAMETER_VALUE."""
    return ApiError("INVALID_PARAMETER_VALUE", message)


def missing(message: str) -> ApiError:
    """RESOURCE_DOES_NOT_EXIST."""
    return ApiError("RESOURCE_DOES_NOT_EXIST", message)


def unavailable(message: str) -> ApiError:
    """TEMPORARILY_UNAVAILABLE."""
    return ApiError("TEMPORARILY_UNAVAILABLE", message)


DOCUMENTED = {
    "description": "An error",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {
                    "error_code": {"type": "string", "enum": sorted(STATUS)},
                    "message": {"type": "string"},
                    "position": {"type": "integer", "minimum": 1, "description": "of a filter's fault, from 1"},
                    "expected": {"type": "string", "description": "what a filter should have there"},
                },
                "required": ["error_code", "message"],
                "additionalProperties": False,
            }
        }
    },
}
"""Every error, as the OpenAPI document has it."""


def response(error_code: str, message: str, **more: Any) -> Response:
    """The error as MLflow's clients read it, and what else there is to say of it."""
    body = msgspec.json.encode({"error_code": error_code, "message": message, **more})
    return Response(body, STATUS[error_code], media_type="application/json")


async def on_api_error(_: Request, error: Exception) -> Response:
    """Handler of ApiError."""
    assert isinstance(error, ApiError)
    return response(error.error_code, error.message)


async def on_filter_error(_: Request, error: Exception) -> Response:
    """Handler of a wrong filter or order: where it is wrong and what was expected there are fields of their own."""
    assert isinstance(error, FilterError)
    return response("INVALID_PARAMETER_VALUE", str(error), position=error.position, expected=error.expected)


async def on_wrong_parameter(_: Request, error: Exception) -> Response:
    """Handler of a parameter of path or query that is missing or of another type."""
    assert isinstance(error, RequestValidationError)
    said = "; ".join(f"'{fault['loc'][-1]}': {fault['msg']}" for fault in error.errors())
    return response("INVALID_PARAMETER_VALUE", f"Invalid value for parameter {said}")


async def on_unavailable(_: Request, error: Exception) -> Response:
    """Handler of what cannot be done now: 503, and nothing was written."""
    if isinstance(error, AppendRefused):
        return response("REQUEST_LIMIT_EXCEEDED", str(error))
    logger.warning("answering 503: %s", error)
    return response("TEMPORARILY_UNAVAILABLE", str(error))


async def on_past(_: Request, error: Exception) -> Response:
    """Handler of a write to a server that shows the past."""
    return response("PERMISSION_DENIED", str(error))


async def on_http_error(request: Request, error: Exception) -> Response:
    """Handler of the framework's own errors: unknown path, wrong method."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return response("ENDPOINT_NOT_FOUND", f"No endpoint {request.method} {request.url.path}")
    if error.status_code == 405:
        answer = response("METHOD_NOT_ALLOWED", f"{request.url.path} does not take {request.method}")
        answer.headers.update(error.headers or {})
        return answer
    return Response(
        msgspec.json.encode({"error_code": "BAD_REQUEST", "message": str(error.detail)}),
        error.status_code,
        media_type="application/json",
    )


async def on_client_gone(_: Request, __: Exception) -> Response:
    """Handler of a client that left in the middle of its request: nobody reads the answer, and no fault of ours."""
    return Response(status_code=400)


async def on_fault(request: Request, error: Exception) -> Response:
    """Handler of a fault of ours."""
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return response("INTERNAL_ERROR", f"The server failed on this request: {type(error).__name__}. Its log has more.")


HANDLERS = {
    ApiError: on_api_error,
    FilterError: on_filter_error,
    RequestValidationError: on_wrong_parameter,
    AppendRefused: on_unavailable,
    LogUnavailable: on_unavailable,
    ItIsPast: on_past,
    ViewsUnavailable: on_unavailable,
    HTTPException: on_http_error,
    ClientDisconnect: on_client_gone,
    Exception: on_fault,
}
