"""Requests that are broken, huge, endless or junk: the server answers what it can, and lives."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Server

pytestmark = pytest.mark.e2e

JUNK = (
    b"",
    b"\0" * 100,
    os.urandom(2000),
    b"[" * 50_000,
    b'{"run_id": "\xff\xfe"}',
    b'{"run_id": "\\ud800", "experiment_id": "\\ud800", "key": "\\ud800", "value": "\\ud800"}',
    b"null",
    b"[]",
    b'"text"',
    b'{"run_id": 1e999, "experiment_ids": {"a": []}, "max_results": 1e30, "timestamp": 99999999999999999999}',
    b'{"run_id": "../../etc/passwd", "key": "../x", "path": "../../x", "filter": "((((", "page_token": "!!"}',
)


def connected(server: Server) -> Any:
    """A raw connection."""
    return closing(socket.create_connection(("127.0.0.1", server.port), timeout=20))


def test_junk_to_every_post_route_is_no_fault_of_the_server(server: Server) -> None:
    paths = server.get("/openapi.json")["paths"]
    posts = [path.replace("{", "").replace("}", "") for path, methods in paths.items() if "post" in methods]
    assert len(posts) > 10
    answers = [
        (path, junk[:40], answer.status_code, answer.text[:200])
        for path in posts
        for junk in JUNK
        for answer in [server.request("POST", path, content=junk, headers={"content-type": "application/json"})]
        if answer.status_code >= 500 and answer.status_code != 501
    ]

    assert not answers, answers
    assert server.request("GET", "/health").status_code == 200
    assert "Traceback" not in server.output()


def test_half_sent_requests_and_slow_bodies_hold_nobody_else_up(server: Server) -> None:
    held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    try:
        for number, connection in enumerate(held):
            if number % 2:
                connection.sendall(b"POST /api/2.0/mlflow/runs/create HTTP/1.1\r\nhost: x\r\ncont")
            else:
                connection.sendall(
                    b"POST /api/headrace/v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nab"
                )
        server.post("/api/2.0/mlflow/runs/create", {"experiment_id": "0"})
        assert server.request("GET", "/health").elapsed.total_seconds() < 5
    finally:
        for connection in held:
            connection.close()
    assert server.request("GET", "/health").status_code == 200


def test_a_body_over_the_limit_is_refused_before_it_is_sent(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(
            b"POST /api/2.0/mlflow/runs/create HTTP/1.1\r\nhost: x\r\ncontent-length: 104857600\r\n\r\n{"
        )
        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 413")
    assert server.request("GET", "/health").status_code == 200


def test_what_is_not_http_is_refused(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(os.urandom(300) + b"\r\n\r\n")
        answer = connection.recv(65536)

    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert server.request("GET", "/health").status_code == 200


def test_an_artifact_cut_off_on_its_way_leaves_nothing(server: Server, eventually: Callable[..., Any]) -> None:
    artifacts = server.data_dir / "artifacts"
    with connected(server) as connection:
        connection.sendall(
            b"PUT /api/2.0/mlflow-artifacts/artifacts/some/cut.bin HTTP/1.1\r\nhost: x\r\n"
            b"content-length: 900000\r\n\r\n" + b"x" * 400_000
        )
        eventually(lambda: any((artifacts / ".incoming").iterdir()))
    eventually(lambda: not any((artifacts / ".incoming").iterdir()))

    assert server.request("GET", "/api/2.0/mlflow-artifacts/artifacts/some/cut.bin").status_code == 404
    assert not [path for path in artifacts.rglob("*") if path.is_file()]
    assert "Traceback" not in server.output()
