"""The scorer of one model: a request's method, path, headers and body to an answer, whatever server carries them.

`models serve` puts it on HTTP, the endpoints' worker processes on a socket. It holds the model, knows its schema, and
predicts together what waits.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol

from headrace.sdk.serving import answers, bodies, content, faults, tabular
from headrace.sdk.serving.batching import Batcher, Limits
from headrace.sdk.serving.faults import Answer, Refused
from headrace.sdk.version import VERSION

logger = logging.getLogger("headrace.serving")

_TEXT = (b"content-type", b"application/json")
_NEWLINE = Answer(200, (_TEXT,), b"\n")
_VERSION = Answer(200, (_TEXT,), VERSION.encode())


class Model(Protocol):
    """What is scored: `headrace.pyfunc.load_model` gives one."""

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        """The prediction for data that is as the model's signature says. Raises ValueError when it is not."""


class Scorer:
    """Answers the requests for one model.

    model: a loaded pyfunc model. name, version: as the Open Inference Protocol's routes call it. limits: the bounds.
    All calls of `answer` come from one event loop; any number may wait at a time.

        scorer = Scorer(headrace.pyfunc.load_model(uri), "iris", "3")
        answer = await scorer.answer("POST", "/invocations", {"content-type": "application/json"}, body)
        answer.status, answer.headers, answer.body
    """

    def __init__(self, model: Model, name: str = "model", version: str = "1", limits: Limits | None = None) -> None:
        self.model = model
        self.name = name
        self.version = version
        self.limits = limits or Limits()
        self._with_params = "params" in inspect.signature(model.predict).parameters
        self._batcher = Batcher(self._work, self.limits, inline=False)

    async def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer to one request.

        method: upper case. path: without the query, "/invocations" and so on. headers: lower-case names; Content-Type,
        Accept and Inference-Header-Content-Length are read. Never raises but when it is cancelled: what is wrong with a
        request is a 4xx, with MLflow's error keys below /invocations and `{"error": …}` below /v2.
        """
        try:
            if path == "/invocations":
                if method != "POST":
                    return _not_allowed("POST")
                return await self._invocation(headers.get("content-type"), headers.get("accept"), body)
            if path in ("/ping", "/health"):
                return _NEWLINE if method in ("GET", "HEAD") else _not_allowed("GET")
            if path == "/version":
                return _VERSION if method in ("GET", "HEAD") else _not_allowed("GET")
            return Refused(404, "ENDPOINT_NOT_FOUND", "There is no such route; POST /invocations scores.").answer()
        except Refused as error:
            return error.answer()
        except Exception as error:
            logger.exception("a request failed")
            return Refused(
                500, "INTERNAL_ERROR", f"The server failed on this request: {type(error).__name__}. Its log has more."
            ).answer()

    def warm(self) -> None:
        """Predict the model's own input example, if it has one, so that the first request does not pay for it."""

    def close(self) -> None:
        """Let go of the thread; requests that wait are not answered any more."""
        self._batcher.close()

    async def _invocation(self, content_type: str | None, accept: str | None, body: bytes) -> Answer:
        media_type = content.media_type(content_type)
        if len(body) > self.limits.body_bytes_max:
            raise faults.too_large(self.limits.body_bytes_max)
        outcome = await self._batcher.submit((media_type, content.wants_arrow(accept), body), 1, None)
        if isinstance(outcome, Refused):
            return outcome.answer()
        if isinstance(outcome, BaseException):
            raise outcome
        answer: Answer = outcome
        return answer

    def _work(self, group: Hashable, items: Sequence[Any]) -> Sequence[Any]:
        return [self._score(*item) for item in items]

    def _score(self, media_type: str, arrow: bool, body: bytes) -> Answer:
        """One request from its bytes to its answer's bytes. Raises Refused."""
        if media_type != content.JSON:
            raise faults.wrong_type(f"{media_type} is not read yet.")
        read = bodies.read(body)
        data = tabular.unsigned(read)
        return Answer(
            200, (faults.JSON_TYPE,), answers.body(self._predict(data, read.params), wrapped=bool(read.field))
        )

    def _predict(self, data: Any, params: dict[str, Any] | None) -> Any:
        try:
            return self.model.predict(data, params=params) if self._with_params else self.model.predict(data)
        except Exception as error:
            logger.info("the model failed on a request", exc_info=error)
            raise faults.bad_request(
                f"The model failed on this data: {type(error).__name__}. The server's log has more."
            ) from error


def _not_allowed(allowed: str) -> Answer:
    refused = Refused(405, "METHOD_NOT_ALLOWED", f"This route takes {allowed}.").answer()
    return refused._replace(headers=(*refused.headers, (b"allow", allowed.encode())))
