"""What a scoring request can be refused for, with MLflow's error keys."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

JSON_TYPE = (b"content-type", b"application/json")


class Answer(NamedTuple):
    """What goes back to the client.

    status: of HTTP. headers: lower-case names; Content-Length is the HTTP server's to add. body: as it is sent.
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class Refused(Exception):
    """A request is answered with an error; the message says what is wrong and what was expected, without the data.

    status: of HTTP. error_code: as MLflow's clients know it. more: further keys of the error's body.
    """

    def __init__(self, status: int, error_code: str, message: str, **more: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code
        self.message = message
        self.more = more

    def answer(self) -> Answer:
        """The error as MLflow's scoring server writes one."""
        body = {"error_code": self.error_code, "message": self.message, **self.more}
        headers = (JSON_TYPE, (b"retry-after", b"1")) if self.status in (429, 503) else (JSON_TYPE,)
        return Answer(self.status, headers, msgspec.json.encode(body))


def bad_request(message: str) -> Refused:
    """A body that cannot be read, or that the model fails on."""
    return Refused(400, "BAD_REQUEST", message, sqlstate="KAM00", error_class="INVALID_PARAMETER_VALUE")


def not_as_signed(message: str) -> Refused:
    """A body that was read, whose data is not what the model's signature says."""
    return Refused(400, "INVALID_PARAMETER_VALUE", message, sqlstate="KAM01", error_class="SCHEMA_ENFORCEMENT_FAILED")


def wrong_param(message: str) -> Refused:
    """Params that are not what the model's signature says."""
    return Refused(400, "INVALID_PARAMETER_VALUE", message, sqlstate="KAM00", error_class="INVALID_PARAMETER_VALUE")


def wrong_type(message: str) -> Refused:
    """A Content-Type that is not read here."""
    return Refused(415, "UNSUPPORTED_MEDIA_TYPE", message)


def too_large(bytes_max: int) -> Refused:
    """A body beyond the bound."""
    return Refused(
        413,
        "REQUEST_ENTITY_TOO_LARGE",
        f"The body is longer than the {bytes_max} bytes that this server takes; send fewer rows in a request.",
    )


def too_many(requests_max: int) -> Refused:
    """The queue is full."""
    return Refused(
        429, "REQUEST_LIMIT_EXCEEDED", f"{requests_max} requests wait already; ask again when some are answered."
    )


def too_late(timeout_s: float) -> Refused:
    """A prediction took longer than it may."""
    return Refused(504, "DEADLINE_EXCEEDED", f"The prediction took longer than the {timeout_s:g} s that it may take.")


def stuck(predictions: int) -> Refused:
    """Predictions that were given up still run, as many as may."""
    return Refused(
        503,
        "TEMPORARILY_UNAVAILABLE",
        f"{predictions} predictions that took too long still run, and no more are begun beside them until one ends;"
        " restart the server if none does.",
    )


def failed(error: Exception) -> Refused:
    """A fault of this program's own."""
    return Refused(
        500, "INTERNAL_ERROR", f"The server failed on this request: {type(error).__name__}. Its log has more."
    )
