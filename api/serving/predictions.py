"""Requests and answers on their way to the log: sampled, cut, written behind the answers, never in their way."""

from __future__ import annotations

import asyncio
import base64
import logging
import random
import uuid
from collections import deque
from typing import Any, Final, NamedTuple

from headrace.api.appender import Appender, AppendRefused
from headrace.api.origin import origin
from headrace.api.serving.process import Answer
from headrace.api.serving.served import Version
from headrace.ingest import codec
from headrace.ingest.clock import Clock
from headrace.ingest.envelope import Envelope
from headrace.ingest.events import PredictionLogged
from headrace.ingest.log import LogError
from headrace.processors.endpoints import Endpoint, subject_of

logger = logging.getLogger("headrace.serving")

WAITING_MAX: Final = 5_000
WAITING_BYTES_MAX: Final = 32 * 1024 * 1024
BATCH: Final = 500
LINGER_S: Final = 0.1
SOURCE: Final = "endpoint"


class _One(NamedTuple):
    time_ms: int
    endpoint: str
    version: Version
    content_type: str
    request: bytes
    request_bytes: int
    answer: bytes
    answer_bytes: int
    status: int
    seconds: float
    request_id: str
    shadow: bool
    actor: str


class Predictions:
    """A bounded queue, and the task that empties it into the log. dropped: that found no room, or no log."""

    def __init__(self, appender: Appender, clock: Clock) -> None:
        self.logged = 0
        self.dropped = 0
        self._appender = appender
        self._clock = clock
        self._waiting: deque[_One] = deque()
        self._bytes = 0
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Write what waits, then end."""
        if self._task is not None:
            self._task.cancel()
            while self._waiting and await self._write():
                pass

    def add(
        self,
        endpoint: Endpoint,
        version: Version,
        head: Any,
        body: bytes,
        answer: Answer,
        seconds: float,
        request_id: str,
        shadow: bool,
    ) -> None:
        """Log an answer, if the endpoint's sample takes it and there is room. head: [method, path, headers]."""
        options = endpoint.options
        if random.random() >= options.log_sample or head[0] != "POST":
            return
        most = options.log_bytes_max
        one = _One(
            self._clock.time_ms(),
            endpoint.name,
            version,
            head[2].get("content-type", ""),
            body[:most],
            len(body),
            answer.body[:most],
            len(answer.body),
            answer.status,
            seconds,
            request_id,
            shadow,
            origin().actor,
        )
        size = len(one.request) + len(one.answer)
        if len(self._waiting) >= WAITING_MAX or self._bytes + size > WAITING_BYTES_MAX:
            self.dropped += 1
            return
        self._waiting.append(one)
        self._bytes += size
        self._wanted.set()

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            await asyncio.sleep(LINGER_S)
            self._wanted.clear()
            while self._waiting:
                await self._write()

    async def _write(self) -> bool:
        """Append a batch; whether the log took it."""
        batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        self._bytes -= sum(len(one.request) + len(one.answer) for one in batch)
        try:
            await self._appender.append([_envelope(one) for one in batch])
        except (LogError, AppendRefused) as error:
            logger.warning("%d predictions were not logged: %s", len(batch), error)
            self.dropped += len(batch)
            return False
        self.logged += len(batch)
        return True


def _envelope(one: _One) -> Envelope:
    request, request_encoding = _text(one.request, len(one.request) < one.request_bytes)
    response, response_encoding = _text(one.answer, len(one.answer) < one.answer_bytes)
    event = PredictionLogged(
        endpoint=one.endpoint,
        model=one.version.model,
        version=one.version.version,
        model_id=one.version.model_id,
        run_id=one.version.run_id,
        request_id=one.request_id,
        status=one.status,
        latency_ms=round(one.seconds * 1000, 3),
        content_type=one.content_type[:200],
        request=request,
        request_encoding=request_encoding,
        request_bytes=one.request_bytes,
        response=response,
        response_encoding=response_encoding,
        response_bytes=one.answer_bytes,
        shadow=one.shadow,
    )
    return Envelope(
        uuid.uuid4().hex,
        codec.type_of(event),
        SOURCE,
        subject_of(one.endpoint),
        one.time_ms,
        codec.encode_event(event),
        actor=one.actor,
    )


def _text(data: bytes, cut: bool) -> tuple[str, str]:
    """Bytes as text and how they are told: as they are where they are UTF-8, else in base64. A cut may fall into a
    character, which is left out then."""
    try:
        return data.decode("utf-8"), ""
    except UnicodeDecodeError as error:
        if cut and error.end == len(data) and error.start > len(data) - 4 and error.reason == "unexpected end of data":
            return data[: error.start].decode("utf-8"), ""
        return base64.b64encode(data).decode("ascii"), "base64"
