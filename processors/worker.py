"""The Faust app that brings the log's records from Kafka to the folds, and commits what the views hold."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import faust
from faust.events import Event
from faust.types import TP, Message
from headrace.ingest.kafka_headers import record_of
from headrace.ingest.kafka_settings import KafkaSettings
from headrace.ingest.log import LogError, Partition, Position
from headrace.processors.partitions import TOPICS, Partitions

logger = logging.getLogger("headrace.worker")

COMMIT_INTERVAL_S = 0.1
SESSION_TIMEOUT_S = 10.0
"""How long a worker that died keeps its partitions from the others."""
HEARTBEAT_INTERVAL_S = 3.0
BUFFERED_MAX = 512
"""Messages a topic that Faust holds ready beside the inbox, which is bounded in bytes."""


class WorkerEnded(Exception):
    """The worker cannot go on; started again, it goes on where the views are."""


class Worker:
    """One member of the consumer group. run() on an event loop."""

    def __init__(self, settings: KafkaSettings, partitions: Partitions) -> None:
        """Raises LogError for security settings that Faust has no counterpart of."""
        self._partitions = partitions
        self._names = {settings.topic(topic): topic for topic in TOPICS}
        self._unstored: dict[Partition, deque[Event]] = {}
        self._room = asyncio.Event()
        self.app = faust.App(
            settings.group,
            broker=[f"kafka://{host}" for host in settings.bootstrap.split(",")],
            broker_credentials=credentials(settings.properties),
            broker_client_id="headrace-worker",
            broker_commit_interval=COMMIT_INTERVAL_S,
            broker_session_timeout=SESSION_TIMEOUT_S,
            broker_heartbeat_interval=HEARTBEAT_INTERVAL_S,
            consumer_auto_offset_reset="earliest",
            stream_buffer_maxsize=BUFFERED_MAX,
            store="memory://",
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
            autodiscover=False,
        )
        for topic in self._names:
            channel = self.app.topic(
                topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
            )
            self.app.agent(channel, name=f"headrace.fold.{topic}")(self._take)
        on_assigned: Any = self._on_assigned  # Faust's signals are typed for functions of any arguments
        self.app.on_partitions_assigned.connect(on_assigned)

    async def run(self, stopping: asyncio.Event) -> None:
        """Be a member of the group until stopping is set, or the app fails."""
        loop = asyncio.get_running_loop()

        def on_room() -> None:
            loop.call_soon_threadsafe(self._room.set)

        def on_stored(offsets: Mapping[Partition, int]) -> None:
            loop.call_soon_threadsafe(self._on_stored, dict(offsets))

        self._partitions.on_room(on_room)
        self._partitions.on_stored(on_stored)
        self._partitions.start()
        try:
            await self.app.start()
            waiting = asyncio.create_task(stopping.wait())
            crashed = asyncio.create_task(self.app.wait_until_stopped())
            await asyncio.wait({waiting, crashed}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            crashed.cancel()
            if not stopping.is_set():
                raise WorkerEnded(f"the worker's Kafka client ended: {self.app.crash_reason}")
        finally:
            await asyncio.to_thread(self._partitions.stop)
            # What the stop has stored is committed with the app's own last commit.
            await asyncio.sleep(0)
            await self.app.stop()

    async def _take(self, stream: Any) -> AsyncIterator[None]:
        async for event in stream.noack().events():
            message: Message = event.message
            partition = Partition(self._names[message.topic], message.partition)
            self._unstored.setdefault(partition, deque()).append(event)
            position = Position(*partition, message.offset)
            timestamp_ms = round(message.timestamp * 1000)
            headers: Any = message.headers or ()
            record = record_of(position, timestamp_ms, headers, message.key, message.value or b"")
            if not self._partitions.put([record]):
                self._room.clear()
                await self._room.wait()
            yield

    async def _on_assigned(self, _: Any, assigned: Iterable[TP], **__: Any) -> None:
        partitions = {Partition(self._names[x.topic], x.partition) for x in assigned if x.topic in self._names}
        # What was delivered before is delivered again from the committed offset on.
        self._unstored.clear()
        logger.info("has %d partitions now", len(partitions))
        self._partitions.assign(partitions)

    def _on_stored(self, offsets: Mapping[Partition, int]) -> None:
        for partition, offset in offsets.items():
            waiting = self._unstored.get(partition)
            while waiting and waiting[0].message.offset < offset:
                waiting.popleft().ack()


def credentials(properties: Mapping[str, str]) -> Any:
    """Faust's credentials for librdkafka's security properties; None for a plain connection. Raises LogError."""
    protocol = properties.get("security.protocol", "plaintext").upper()
    tls = _tls(properties) if protocol in ("SSL", "SASL_SSL") else None
    if protocol == "PLAINTEXT":
        return None
    if protocol == "SSL":
        return faust.SSLCredentials(tls)
    mechanism = (properties.get("sasl.mechanism") or properties.get("sasl.mechanisms") or "").upper()
    if mechanism not in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
        raise LogError(
            f"a worker cannot sign in with sasl.mechanism={mechanism or '(none)'};"
            " use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
        )
    return faust.SASLCredentials(
        username=properties.get("sasl.username"),
        password=properties.get("sasl.password"),
        ssl_context=tls,
        mechanism=mechanism,
    )


def _tls(properties: Mapping[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=properties.get("ssl.ca.location"))
        certificate = properties.get("ssl.certificate.location")
        if certificate:
            key = properties.get("ssl.key.location")
            context.load_cert_chain(certificate, key, properties.get("ssl.key.password"))
    except (OSError, ssl.SSLError) as error:
        raise LogError(f"the TLS files of the Kafka settings cannot be used: {error}") from error
    if properties.get("ssl.endpoint.identification.algorithm", "https").lower() == "none":
        context.check_hostname = False
    if properties.get("enable.ssl.certificate.verification", "true").lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
