"""The scorer of one model: a request's method, path, headers and body to an answer, whatever server carries them.

`models serve` puts it on HTTP, the endpoints' worker processes on a socket. It holds the model, knows its schema, and
predicts together what waits.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import msgspec
from headrace.sdk.models.pyfunc import PyFuncModel
from headrace.sdk.serving import content, faults, inference, quick
from headrace.sdk.serving.batching import Batcher, Limits
from headrace.sdk.serving.faults import Answer, Refused
from headrace.sdk.serving.metrics import CONTENT_TYPE, Metrics
from headrace.sdk.serving.prediction import Prediction
from headrace.sdk.version import VERSION

logger = logging.getLogger("headrace.serving")

_NEWLINE = Answer(200, (faults.JSON_TYPE,), b"\n")
_VERSION = Answer(200, (faults.JSON_TYPE,), VERSION.encode())
_READ_METHODS = ("GET", "HEAD")
_ROWS_PER_BYTE = 1 / 64
"""Of a body that was not read yet: how many rows it is taken for, to tell how long it will take."""


class Scorer:
    """Answers the requests for one model.

    model: a loaded pyfunc model. name, version: as the Open Inference Protocol's routes call it. limits: the bounds.
    row_wise: whether the rows of several requests may be stacked and predicted together; when not given, true for the
    models of known frameworks (but statsmodels, whose rows may be of a time series) and false for a user's own code, of
    which nobody knows what it does with its neighbours.
    All calls of `answer` come from one event loop; any number may wait at a time.

        scorer = Scorer(headrace.pyfunc.load_model(uri), "iris", "3")
        answer = await scorer.answer("POST", "/invocations", {"content-type": "application/json"}, body)
        answer.status, answer.headers, answer.body
    """

    def __init__(
        self,
        model: PyFuncModel,
        name: str = "model",
        version: str = "1",
        limits: Limits | None = None,
        row_wise: bool | None = None,
    ) -> None:
        self.model = model
        self.name = name
        self.version = version
        self.limits = limits or Limits()
        self.metrics = Metrics()
        self._prediction = Prediction(model)
        self._inference = inference.Inference(self._prediction, name, version)
        self._row_wise = self._prediction.row_wise if row_wise is None else row_wise
        self._batcher = Batcher(self._work, self.limits, inline=self._prediction.of_a_framework)

    @property
    def stuck(self) -> int:
        """Predictions that were given up after the timeout and still run; a supervisor may restart the process."""
        return self._batcher.stuck

    @property
    def waiting(self) -> int:
        """Requests that wait for their prediction."""
        return self._batcher.waiting

    async def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer to one request.

        method: upper case. path: without the query, "/invocations" and so on. headers: lower-case names; Content-Type,
        Content-Encoding, Accept and Inference-Header-Content-Length are read. Never raises but when it is cancelled:
        what is wrong with a request is a 4xx, with MLflow's error keys below /invocations and `{"error": …}` below /v2.
        """
        started_s = time.perf_counter()
        route = "other"
        try:
            encoding = headers.get("content-encoding")
            if encoding:
                body = content.decompressed(body, encoding, self.limits.body_bytes_max)
            if path == "/invocations":
                route = "invocations"
                if method != "POST":
                    answer = _not_allowed("POST")
                else:
                    answer = await self._invocation(headers.get("content-type"), headers.get("accept"), body)
            elif path == "/v2" or path.startswith("/v2/"):
                route, answer = await self._second(method, path, headers, body)
            else:
                answer = self._small(method, path)
        except Refused as error:
            answer = inference.refused(error) if path.startswith("/v2") else error.answer()
        except Exception as error:
            logger.exception("a request failed")
            answer = faults.failed(error).answer()
        self.metrics.answered(route, answer.status, time.perf_counter() - started_s)
        return answer

    def warm(self) -> None:
        """Predict the model's own input example, if it has one, so that the first request does not pay for it.

        Raises what the model raises: an example that it does not take is no reason to refuse what it does.
        """
        self._prediction.warm()

    async def start(self) -> None:
        """Warm it; what its own example shows to be wrong is only logged."""
        try:
            self.warm()
        except Exception as error:
            logger.warning("the model fails on its own input example: %s: %s", type(error).__name__, error)

    async def stop(self) -> None:
        """As `close`."""
        self.close()

    def close(self) -> None:
        """Let go of the thread; requests that wait are not answered any more."""
        self._batcher.close()

    def _small(self, method: str, path: str) -> Answer:
        """The routes that need no prediction."""
        if path in ("/ping", "/health"):
            return _NEWLINE if method in _READ_METHODS else _not_allowed("GET")
        if path == "/version":
            return _VERSION if method in _READ_METHODS else _not_allowed("GET")
        if path == "/metrics":
            if method not in _READ_METHODS:
                return _not_allowed("GET")
            text = self.metrics.text(self.name, self.version, self._gauges())
            return Answer(200, ((b"content-type", CONTENT_TYPE),), text)
        return Refused(404, "ENDPOINT_NOT_FOUND", "There is no such route; POST /invocations scores.").answer()

    async def _invocation(self, content_type: str | None, accept: str | None, body: bytes) -> Answer:
        media_type = content.media_type(content_type)
        if len(body) > self.limits.body_bytes_max:
            raise faults.too_large(self.limits.body_bytes_max)
        arrow = content.wants_arrow(accept)
        rows = None
        if media_type == content.JSON and not arrow and len(body) <= quick.BYTES_MAX:
            rows = self._prediction.quick(body)
        if rows is None:
            return await self._alone(lambda: self._prediction.of_body(media_type, arrow, body), body)
        return await self._stacked(rows)

    async def _second(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[str, Answer]:
        """The Open Inference Protocol: the route as the metrics call it, and the answer."""
        place = self._inference.place(path)
        route = "infer" if place is not None and place.what == "infer" else "other"
        try:
            if place is None:
                raise Refused(404, "", "There is no such route in the Open Inference Protocol.")
            if route == "other":
                if method not in _READ_METHODS:
                    return route, inference.refused(Refused(405, "", "This route takes GET."))
                return route, self._inference.told(place)
            if method != "POST":
                raise Refused(405, "", "This route takes POST.")
            if not place.known:
                raise self._inference.unknown()
            if len(body) > self.limits.body_bytes_max:
                raise faults.too_large(self.limits.body_bytes_max)
            return route, await self._infer(body, headers.get("inference-header-content-length"))
        except Refused as error:
            return route, inference.refused(error)
        except Exception as error:
            logger.exception("a request failed")
            return route, inference.refused(faults.failed(error))

    async def _infer(self, body: bytes, header_length: str | None) -> Answer:
        def whole() -> Answer:
            read = self._inference.read(body, header_length)
            if isinstance(read, quick.Rows):
                return self._prediction.of_rows([read])[0]
            return read.encode(self._prediction.predict(read.data, read.params))

        if len(body) > quick.BYTES_MAX:
            return await self._alone(whole, body)
        read = self._inference.read(body, header_length)
        if isinstance(read, quick.Rows):
            return await self._stacked(read)
        bound = read
        return await self._alone(lambda: bound.encode(self._prediction.predict(bound.data, bound.params)), body)

    async def _alone(self, work: Callable[[], Answer], body: bytes) -> Answer:
        return await self._outcome(work, max(1, int(len(body) * _ROWS_PER_BYTE)), None)

    async def _stacked(self, rows: quick.Rows) -> Answer:
        group = None
        if self._row_wise:
            params = rows.params and msgspec.json.encode(rows.params, order="sorted")
            group = (rows.array.shape[1:], params)
        return await self._outcome(rows, max(1, len(rows.array)), group)

    async def _outcome(self, data: Any, rows: int, group: Hashable | None) -> Answer:
        outcome = await self._batcher.submit(data, rows, group)
        if isinstance(outcome, BaseException):
            raise outcome
        answer: Answer = outcome
        return answer

    def _work(self, group: Hashable, items: Sequence[Any]) -> Sequence[Answer]:
        if isinstance(items[0], quick.Rows):
            return self._prediction.of_rows(items)
        return [item() for item in items]

    def _gauges(self) -> dict[str, tuple[str, str, float]]:
        tally = self._batcher.tally
        return {
            "headrace_scoring_batches_total": ("counter", "Predictions made, of one request or more.", tally.batches),
            "headrace_scoring_batched_requests_total": ("counter", "Requests predicted.", tally.requests),
            "headrace_scoring_batched_rows_total": ("counter", "Rows predicted, as far as known.", tally.rows),
            "headrace_scoring_repeated_requests_total": (
                "counter",
                "Requests predicted again alone, for one of their batch failed.",
                tally.again,
            ),
            "headrace_scoring_prediction_seconds_total": ("counter", "Time in predictions.", tally.seconds),
            "headrace_scoring_waiting": ("gauge", "Requests that wait.", self.waiting),
            "headrace_scoring_stuck": ("gauge", "Predictions given up that still run.", self.stuck),
        }


def _not_allowed(allowed: str) -> Answer:
    refused = Refused(405, "METHOD_NOT_ALLOWED", f"This route takes {allowed}.").answer()
    return refused._replace(headers=(*refused.headers, (b"allow", allowed.encode())))
