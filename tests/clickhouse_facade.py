"""ClickHouse's HTTP interface over chDB, for tests where no ClickHouse server can run.

In the repository's root: `python -m tests.clickhouse_facade --data-dir D --port P`. The stock clickhouse-connect client
talks to it unmodified. The engine is the real one, and keeps its data in the folder through a kill -9; what this adds
is the transport (https://clickhouse.com/docs/interfaces/http). Left out: sessions, external tables, progress headers,
native block compression, replication, clusters, and system.query_log and part_log, which chDB lacks.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hmac
import json
import re
import signal
import sys
import threading
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb
import lz4.frame
import pyarrow

from tests.clickhouse_statements import Refused, literal, statement

TRANSPORT_PARAMETERS = {
    *("query", "database", "default_format", "user", "password", "query_id", "session_id", "session_timeout"),
    *("session_check", "close_session", "quota_key", "role", "wait_end_of_query", "buffer_size", "compress"),
    *("decompress", "client_protocol_version", "stacktrace"),
}
FIELD_VALUE_BYTES_MAX = 131_072
"""Of one parameter: http_max_field_value_size, as servers have it."""
STATUS_OF_CODE = {
    **dict.fromkeys((516, 193, 192, 194), 403),
    **dict.fromkeys((62, 36, 6, 26, 27, 41, 43, 44, 42, 53, 70, 72, 117, 130, 131, 456), 400),
    **dict.fromkeys((46, 47, 50, 56, 60, 81, 115, 73, 82), 404),
    **dict.fromkeys((48, 344), 501),
    159: 408,
}
"""HTTP status of an exception's code, as ClickHouse's exceptionCodeToHTTPStatus has them; 500 for the others."""


class Engine:
    """chDB on a folder: every request has a connection of its own, so that requests run side by side."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder / "data")
        self._incoming = folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        for left in self._incoming.iterdir():
            left.unlink()
        self._first = chdb.connect(self._folder)
        version, self.timezone = self._first.query("SELECT version(), timezone()", "TSV").bytes().decode().split()
        self.version = version
        self._running: set[str] = set()
        self._lock = threading.Lock()

    def run(self, text: bytes, body: bytes, default_format: str, p: Mapping[str, str]) -> tuple[bytes, str | None, Any]:
        """The result's bytes, its format (None for a statement without one), and what the engine counted."""
        query_id = p["query_id"]
        keep = self._incoming / uuid.uuid4().hex
        with self._named(query_id):
            connection = chdb.connect(self._folder)
            try:
                found = statement(text, body, keep)
                self._set_up(connection, p, query_id)
                format = found.format or default_format
                parameters = {name[6:]: value for name, value in p.items() if name.startswith("param_")}
                result = connection.query(found.sql.decode("utf-8", "surrogateescape"), format, params=parameters)
                data = bytes(result.bytes())
                if format == "Native" and found.has_result and not data:
                    data = _native_header(connection, found.query, parameters)
                return data, format if found.has_result else None, result
            except Refused:
                raise
            except Exception as error:  # whatever chDB raises is what the server would have answered
                raise Refused(str(error)) from error
            finally:
                connection.close()
                keep.unlink(missing_ok=True)

    def _set_up(self, connection: Any, p: Mapping[str, str], query_id: str) -> None:
        settings = {"implicit_select": "0", "log_comment": query_id}
        settings |= {k: v for k, v in p.items() if k not in TRANSPORT_PARAMETERS and not k.startswith(("param_", ":"))}
        wrong = [name for name in settings if not re.fullmatch(r"\w+", name)]
        if wrong:
            raise Refused(f"Code: 115. DB::Exception: Unknown setting '{wrong[0]}'. (UNKNOWN_SETTING)")
        connection.query("SET " + ", ".join(f"{name} = {literal(value).decode()}" for name, value in settings.items()))
        database = p.get("database", "").replace("`", "\\`")
        if database:
            connection.query(f"USE `{database}`")
        if p[":method"] == "GET":
            connection.query("SET readonly = 2")

    @contextmanager
    def _named(self, query_id: str) -> Iterator[None]:
        with self._lock:
            if query_id in self._running:
                text = f"Query with id = {query_id} is already running. (QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING)"
                raise Refused(f"Code: 216. DB::Exception: {text}")
            self._running.add(query_id)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(query_id)


def _native_header(connection: Any, query: bytes, parameters: Mapping[str, str]) -> bytes:
    """The block without rows that a server sends for an empty result; chDB sends nothing."""
    try:
        found = connection.query(f"DESCRIBE TABLE ({query.decode()})", "JSONCompact", params=dict(parameters))
    except RuntimeError:  # such as SHOW, which cannot be described
        return b""
    columns = json.loads(found.bytes())["data"]
    return _varint(len(columns)) + _varint(0) + b"".join(_text(name) + _text(type) for name, type, *_ in columns)


def _text(text: str) -> bytes:
    data = text.encode()
    return _varint(len(data)) + data


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + _varint(number >> 7)


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Facade

    def do_GET(self) -> None:
        """A request."""
        url = urlsplit(self.path)
        if url.path == "/ping" or (url.path == "/" and not url.query and self.command == "GET"):
            self._answer(200, b"Ok.\n", {})
            return
        started_s = time.monotonic()
        parameters = dict(parse_qsl(url.query, keep_blank_values=True)) | {":method": self.command}
        parameters["query_id"] = parameters.get("query_id") or str(uuid.uuid4())
        headers = {
            "X-ClickHouse-Server-Display-Name": "facade",
            "X-ClickHouse-Query-Id": parameters["query_id"],
            "X-ClickHouse-Timezone": self.server.engine.timezone,
        }
        body = self._body()
        try:
            if url.path != "/":
                raise Refused("Code: 1000. DB::Exception: There is no handle " + url.path)
            self._check_user(parameters)
            text, body = self._query(parameters, body)
            if any(
                len(value.encode("utf-8", "surrogateescape")) > FIELD_VALUE_BYTES_MAX for value in parameters.values()
            ):
                raise Refused("Poco::Exception. Code: 1000, HTML Form Exception: Field value too long")
            wanted = parameters.get("default_format") or self.headers.get("X-ClickHouse-Format") or "TabSeparated"
            data, format, counted = self.server.engine.run(text, body, wanted, parameters)
        except Refused as error:
            message = f"{error} (version {self.server.engine.version} (chDB))\n".encode()
            headers |= {"X-ClickHouse-Exception-Code": str(error.code)}
            self._answer(STATUS_OF_CODE.get(error.code, 500), message, headers)
            return
        headers["X-ClickHouse-Summary"] = json.dumps(
            {
                "read_rows": str(counted.rows_read()),
                "written_rows": str(counted.rows_written()),
                "elapsed_ns": str(int((time.monotonic() - started_s) * 1e9)),
            }
        )
        if format is not None:
            headers["X-ClickHouse-Format"] = format
        self._answer(200, data, headers, parameters.get("enable_http_compression") == "1")

    do_POST = do_GET

    def _query(self, parameters: dict[str, str], body: bytes) -> tuple[bytes, bytes]:
        """The statement, and the data that follows it."""
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("multipart/form-data"):
            form = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
            for part in form.get_payload():
                if part.get_filename() is not None:  # type: ignore[union-attr]
                    raise Refused("Code: 48. DB::Exception: external tables are not in this facade (NOT_IMPLEMENTED)")
                name = str(part.get_param("name", header="Content-Disposition"))  # type: ignore[union-attr]
                parameters[name] = part.get_payload(decode=True).decode()  # type: ignore[union-attr]
            body = b""
        text = parameters.get("query", "").encode()
        if not text.strip():
            text, body = body, b""
        elif not body and self.command == "POST":
            text += b"\n"
        if not text.strip():
            raise Refused("Code: 62. DB::Exception: Syntax error: Empty query (SYNTAX_ERROR)")
        return (text if not body else text + b"\n"), body

    def _check_user(self, parameters: Mapping[str, str]) -> None:
        basic = self.headers.get("Authorization", "")
        if basic.startswith("Basic "):
            user, _, password = base64.b64decode(basic[6:]).decode().partition(":")
        else:
            user = self.headers.get("X-ClickHouse-User") or parameters.get("user", "default")
            password = self.headers.get("X-ClickHouse-Key") or parameters.get("password", "")
        right = hmac.compare_digest(f"{user}:{password}".encode(), self.server.credentials.encode())
        if not right:
            text = f"{user}: Authentication failed: password is incorrect, or there is no user with such name."
            raise Refused(f"Code: 516. DB::Exception: {text} (AUTHENTICATION_FAILED)")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            data = b"".join(chunks)
        else:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        encoding = self.headers.get("Content-Encoding", "")
        if encoding == "gzip":
            return gzip.decompress(data)
        if encoding == "deflate":
            return zlib.decompress(data)
        if encoding == "lz4":
            return bytes(lz4.frame.decompress(data))
        if encoding == "zstd":
            return pyarrow.CompressedInputStream(pyarrow.BufferReader(data), "zstd").read()  # type: ignore[no-any-return]
        return data

    def _answer(self, status: int, data: bytes, headers: Mapping[str, str], compress: bool = False) -> None:
        accepted = [one.split(";")[0].strip() for one in self.headers.get("Accept-Encoding", "").split(",")]
        encoding = next((one for one in ("lz4", "zstd", "gzip", "deflate") if compress and one in accepted), None)
        if encoding == "lz4":
            data = lz4.frame.compress(data)
        elif encoding == "zstd":
            data = pyarrow.compress(data, "zstd", asbytes=True)
        elif encoding == "gzip":
            data = gzip.compress(data, 1)
        elif encoding == "deflate":
            data = zlib.compress(data, 1)
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=UTF-8")
        for name, value in headers.items():
            self.send_header(name, value)
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: a test's output is not an access log."""


class Facade(ThreadingHTTPServer):
    """The server. credentials: `user:password` that every request must have."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, engine: Engine, credentials: str) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.engine = engine
        self.credentials = credentials

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away in the middle is no fault of ours; anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", default="default")
    parser.add_argument("--password", default="")
    given = parser.parse_args()
    facade = Facade(given.port, Engine(given.data_dir), f"{given.user}:{given.password}")
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=facade.shutdown).start())
    print(f"ready on port {facade.server_port}", flush=True)
    facade.serve_forever()


if __name__ == "__main__":
    main()
