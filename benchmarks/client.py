"""A lean HTTP client: one kept connection, requests that are bytes already. The load must not be the bottleneck."""

from __future__ import annotations

import json
import select
import socket
from typing import Any
from urllib.parse import urlsplit


class Failed(Exception):
    """The server answered with an error; the message has its status and the start of its body."""


def get_request(path: str) -> bytes:
    """A GET, ready to be sent."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n".encode()


def post_request(path: str, body: Any) -> bytes:
    """A POST of JSON, ready to be sent; body may be bytes that are JSON already."""
    data = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
    return head.encode() + b"\r\n\r\n" + data


class Connection:
    """One connection to a server; it is opened again when the server closes it."""

    def __init__(self, url: str, timeout_s: float = 120.0) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None

    def ask(self, request: bytes) -> bytes:
        """Send a request; the body of its answer. Raises Failed unless the status is 200, OSError."""
        if self._socket is not None and self._closed(self._socket):
            self.close()
        if self._socket is None:
            self._socket = socket.create_connection(self._address, self._timeout_s)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        head, body = self._head(self._socket)
        status = int(head[9:12])
        lowered = head.lower()
        if b"transfer-encoding: chunked" in lowered:
            body = self._chunked(self._socket, body)
        else:
            length = int(lowered.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            body = self._exactly(self._socket, body, length)
        if b"connection: close" in lowered:
            self.close()
        if status != 200:
            raise Failed(f"{status} {body[:500]!r}")
        return body

    def ask_json(self, request: bytes) -> Any:
        """The same, decoded."""
        return json.loads(self.ask(request))

    def close(self) -> None:
        """Let it go."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _head(self, connection: socket.socket) -> tuple[bytes, bytes]:
        received = b""
        while True:
            received += self._more(connection)
            end = received.find(b"\r\n\r\n")
            if end >= 0:
                return received[:end], received[end + 4 :]

    def _exactly(self, connection: socket.socket, body: bytes, length: int) -> bytes:
        parts = [body]
        have = len(body)
        while have < length:
            part = self._more(connection)
            parts.append(part)
            have += len(part)
        return b"".join(parts)

    def _chunked(self, connection: socket.socket, received: bytes) -> bytes:
        parts = []
        while True:
            while (line_end := received.find(b"\r\n")) < 0:
                received += self._more(connection)
            size = int(received[:line_end].split(b";")[0], 16)
            received = received[line_end + 2 :]
            if len(received) < size + 2:
                received = self._exactly(connection, received, size + 2)
            parts.append(received[:size])
            received = received[size + 2 :]
            if size == 0:
                return b"".join(parts)

    @staticmethod
    def _closed(connection: socket.socket) -> bool:
        """Whether the server has closed it since the last answer, for having been idle."""
        # Nothing is due between two answers, so what can be read now is the end.
        return bool(select.select([connection], [], [], 0)[0])

    @staticmethod
    def _more(connection: socket.socket) -> bytes:
        part = connection.recv(1024 * 1024)
        if not part:
            raise OSError("the server closed the connection in the middle of an answer")
        return part
