"""The connections to a ClickHouse server: a client of the driver with a pool of its own, made when first needed."""

from __future__ import annotations

import logging
import math
import socket
import threading
import time
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.httpclient import HttpClient
from clickhouse_connect.driver.httputil import get_pool_manager
from headrace.processors.clickhouse_errors import ENGINE_ERRORS
from headrace.processors.views_url import ViewsUrl
from urllib3.util import Timeout

_SILENCE = {"TCP_USER_TIMEOUT": 5000, "TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}
"""A host that says nothing at all for 5 to 11 s, although it was sent something, has lost its connections (Linux)."""
_SOCKET_OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *((socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in _SILENCE.items() if hasattr(socket, name)),
]

# The driver announces what it then raises, and it is what is raised that says something.
logging.getLogger("clickhouse_connect").setLevel(logging.ERROR)


class Connection:
    """A client that any number of threads may use at a time. Those who wait for it to be made fail together."""

    def __init__(self, url: ViewsUrl, timeout_s: float, settings: dict[str, Any], connections: int) -> None:
        """timeout_s: for an answer. settings: of every query. connections: how many are kept open."""
        self._url = url
        self._timeout_s = timeout_s
        self._settings = settings
        self._connections = connections
        self._lock = threading.Lock()
        self._client: HttpClient | None = None
        self._failed: tuple[float, Exception] | None = None

    def client(self) -> HttpClient:
        """The client, connected. Raises one of ENGINE_ERRORS."""
        asked_s = time.monotonic()
        with self._lock:
            if self._client is None:
                if self._failed is not None and self._failed[0] >= asked_s:
                    raise self._failed[1]
                try:
                    self._client = self._connect()
                except ENGINE_ERRORS as error:
                    self._failed = (time.monotonic(), error)
                    raise
            return self._client

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            if self._client is not None:
                self._client.close_connections()
                self._client = None

    def _connect(self) -> HttpClient:
        url = self._url
        timeout = Timeout(connect=url.connect_timeout_s, read=self._timeout_s)
        pool = get_pool_manager(
            maxsize=self._connections,
            retries=0,
            timeout=timeout,
            socket_options=_SOCKET_OPTIONS,
            verify=url.verify,
            ca_cert=url.ca_cert or None,
        )
        client = clickhouse_connect.get_client(
            interface="https" if url.secure else "http",
            host=url.host,
            port=url.port,
            username=url.user,
            password=url.password,
            connect_timeout=math.ceil(url.connect_timeout_s),
            send_receive_timeout=math.ceil(self._timeout_s),
            settings=self._settings,
            compress=False,
            query_retries=0,
            client_name="headrace",
            pool_mgr=pool,
            # A session would let in one query at a time.
            autogenerate_session_id=False,
        )
        assert isinstance(client, HttpClient)
        client.timeout = timeout
        client.http_retries = 0
        # Parameters of a read travel in the body: an address holds 1 MB on a server, less on what may stand before it.
        client.form_encode_query_params = True
        # Only now: a database that is not there is a fault of what needs it, not of connecting.
        client.database = url.database
        return client
