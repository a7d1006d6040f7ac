"""The OpenAPI document, held to a real server: what it allows may be sent, and the answers are as it says."""

from __future__ import annotations

import socket
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from headrace.api.errors import STATUS
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.checks import CheckContext, load_all_checks
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

if TYPE_CHECKING:
    from tests.e2e.conftest import Server

pytestmark = pytest.mark.e2e
ANSWER_S = 20.0
EXAMPLES = 10
NOT_TRIED = ("/api/headrace/v1/events",)
"""Answers that never end; and bodies of binary frames, which are tried with the other bodies."""

load_all_checks()


def no_fault_and_errors_in_one_shape(context: CheckContext, response: Response, case: Case[Any]) -> None:
    """No 5xx but "not implemented"; a refusal is `{error_code, message}`, a code of ours with its status.

    A filter's fault has its place too.
    """
    assert response.status_code < 500 or response.status_code == 501, response.text
    if response.status_code >= 400:
        told = response.json()
        assert set(told) in ({"error_code", "message"}, {"error_code", "message", "position", "expected"}), told
        assert STATUS[told["error_code"]] == response.status_code, told
        assert told["message"]


CHECKS: list[Any] = [
    no_fault_and_errors_in_one_shape,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def test_whatever_the_openapi_document_allows_is_answered_as_it_says(server: Server) -> None:
    run_id = server.post("/api/2.0/mlflow/runs/create", {})["run"]["info"]["run_id"]
    schema = schemathesis.openapi.from_dict(server.get("/openapi.json"))
    faults: dict[str, str] = {}
    tried = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if operation.path in NOT_TRIED:
            continue

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def check(case: Case[Any]) -> None:
            for given_ids in (case.query, case.body):
                if isinstance(given_ids, dict) and "run_id" in given_ids and len(str(given_ids["run_id"])) % 2:
                    given_ids["run_id"] = run_id
            case.call_and_validate(base_url=server.url, timeout=ANSWER_S, checks=CHECKS)

        tried += 1
        try:
            check()
        except (Exception, BaseExceptionGroup) as error:
            faults[operation.label] = str(error)[:1500]
    assert tried > 40
    assert not faults, "\n\n".join(f"{label}: {fault}" for label, fault in faults.items())
    assert server.status()["fault"] is None
    assert "Traceback" not in server.output()


# --- lies about a body's length ---------------------------------------------------------------------------------------

_BODY = b'{"run_name": "smuggled"}'
_POST = b"POST /api/2.0/mlflow/runs/create HTTP/1.1\r\nHost: x\r\n"


LIES = (
    b"Content-Length: -5\r\n",
    b"Content-Length: +24\r\n",
    b"Content-Length: 0x18\r\n",
    b"Content-Length: 24, 24\r\n",
    b"Content-Length: twenty\r\n",
    b"Content-Length: " + b"9" * 30 + b"\r\n",
    b"Content-Length: " + b"9" * 6000 + b"\r\n",
    b"Content-Length: 24\r\nContent-Length: 5\r\n",
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, rot13\r\n",
    b"Content-Length: 25\r\n",
    b"Content-Length: 5\r\n",
)


def test_a_lie_about_the_length_of_a_body_creates_nothing(server: Server) -> None:
    for lie in LIES:
        answer = answer_to(server, _POST + lie + b"Connection: close\r\n\r\n" + _BODY)
        assert answer == b"" or answer.split(b" ")[1] in (b"400", b"413"), (lie, answer)
    assert not server.post("/api/2.0/mlflow/runs/search", {"experiment_ids": ["0"]})
    assert "Traceback" not in server.output()


def answer_to(server: Server, request: bytes) -> bytes:
    """What comes back for these bytes, after which the client sends no more."""
    answer = b""
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=ANSWER_S)) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        # The server need not read on.
        with suppress(ConnectionResetError):
            while chunk := connection.recv(65536):
                answer += chunk
    return answer
