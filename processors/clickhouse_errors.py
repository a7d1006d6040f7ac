"""What a ClickHouse server, or the way to it, answers when something is wrong: as a sentence that says what to do."""

from __future__ import annotations

import re

from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError
from headrace.processors.view_errors import UNKNOWN_DATABASE_CODE, UNKNOWN_TABLE_CODE, ViewsUnavailable
from headrace.processors.views_url import ViewsUrl
from urllib3 import exceptions as http

ENGINE_ERRORS = (ClickHouseError, http.HTTPError, OSError, ValueError)
"""Whatever the driver lets through. ValueError: what it makes of an answer that broke off in the middle."""
_PASSING_CODES = (202, 209, 210, 279)
"""Too many queries at once, and the server's own connections to others."""
_REFUSED_CODES = (192, 193, 194, 516)
_ACCESS_DENIED_CODE = 497
_TEXT_CHARS_MAX = 500


def is_passing(error: BaseException | None) -> bool:
    """Whether the same read may succeed in a moment: no connection, a lost one, or a server that asks to wait."""
    if isinstance(error, ClickHouseError):
        code = getattr(error, "code", None)
        if code is not None:
            return code in _PASSING_CODES
        return isinstance(error, OperationalError) and not isinstance(_transport(error), http.ReadTimeoutError)
    return isinstance(error, http.HTTPError | OSError | ValueError)


def fault(error: BaseException, url: ViewsUrl) -> ViewsUnavailable:
    """The error as a sentence."""
    code: int | None = getattr(error, "code", None)
    if code is not None:
        return ViewsUnavailable(_refused(code, _engine_text(str(error)), url), code)
    return ViewsUnavailable(_unreachable(_transport(error), _engine_text(str(error)), url))


def _refused(code: int, text: str, url: ViewsUrl) -> str:
    create = f"run `headrace views create --views '{url}'`"
    if code in _REFUSED_CODES:
        return f"ClickHouse at {url.server} refuses the user {url.user!r} or its password; correct the views URL"
    if code == _ACCESS_DENIED_CODE:
        return f"ClickHouse at {url.server} does not let the user {url.user!r} do this; grant it: {text}"
    if code == UNKNOWN_DATABASE_CODE:
        return f"ClickHouse at {url.server} has no database {url.database!r}; {create}"
    if code == UNKNOWN_TABLE_CODE:
        return f"a table is missing in the database {url.database!r} of ClickHouse at {url.server}; {create} ({text})"
    return f"ClickHouse at {url.server}: {text}"


def _unreachable(error: BaseException | None, text: str, url: ViewsUrl) -> str:
    server = f"ClickHouse at {url.server}"
    if isinstance(error, http.NameResolutionError):
        return f"there is no host {url.host!r}; correct the views URL"
    if isinstance(error, http.NewConnectionError):
        return f"{server} cannot be reached; start it, or correct the views URL ({_reason(error)})"
    if isinstance(error, http.ConnectTimeoutError):
        return f"{server} cannot be reached within {url.connect_timeout_s:g} s; start it, or correct the views URL"
    if isinstance(error, http.ReadTimeoutError):
        return f"{server} did not answer in time"
    if isinstance(error, http.SSLError):
        return f"no TLS with {server}; correct secure, verify or ca_cert in the views URL ({_reason(error)})"
    if error is not None:
        return f"the connection to {server} broke ({_reason(error)})"
    if "HTTP status" in text or "Unexpected response" in text:
        return f"what answers at {url.server} is not ClickHouse's HTTP interface; correct the views URL ({text})"
    return f"{server}: {text}"


def _transport(error: BaseException | None) -> BaseException | None:
    """What happened on the way, where the driver says so."""
    cause = error.__cause__ if isinstance(error, ClickHouseError) else error
    if isinstance(cause, http.MaxRetryError):
        cause = cause.reason
    return cause if isinstance(cause, http.HTTPError | OSError) else None


def _reason(error: BaseException) -> str:
    """The system's words, without the driver's around them."""
    inner = error.args[-1] if error.args else error
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return re.sub(r"^\[Errno \d+\] ", "", str(error).rpartition(": ")[2].strip("()'\""))


def _engine_text(text: str) -> str:
    """The engine's words on one line, without the driver's around them, nor the version that ends them."""
    text = re.sub(r"^.*?server response: (?=Code: )", "", " ".join(text.split()))
    text = re.sub(r" \(for url [^)]*\)$", "", text)
    return re.sub(r" \(version (?:[^()]|\([^()]*\))*\)$", "", text)[:_TEXT_CHARS_MAX]
