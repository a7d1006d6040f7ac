"""The Faust app that brings the log's records from Kafka to the folds, and commits what the views hold."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from typing import Any

import faust
from faust.types import TP, Message
from headrace.ingest.kafka_headers import record_of
from headrace.ingest.kafka_settings import KafkaSettings
from headrace.ingest.log import LogError, Partition, Position
from headrace.ingest.topics import FOLDED
from headrace.processors.partitions import Partitions

logger = logging.getLogger("headrace.worker")

COMMIT_INTERVAL_S = 0.05
LAST_COMMIT_S = 2.0
STOP_S = 3.0
"""How long brokers may take to let go of a worker that has stored everything and ends."""
SESSION_TIMEOUT_S = 10.0
"""How long a worker that died keeps its partitions from the others."""
HEARTBEAT_INTERVAL_S = 3.0
BUFFERED_MAX = 512
"""Messages that Faust takes out of a fetch at a time, and holds ready a topic: the inbox is bounded in bytes."""
SEEK_BEYOND = 100
"""So many messages that are folded already are passed over one by one."""


class WorkerEnded(Exception):
    """The worker cannot go on; started again, it goes on where the views are."""


class Worker:
    """One member of the consumer group. run() on an event loop.

    is_stuck: whether Faust had not let go of the brokers when run() came back, and keeps threads.
    """

    def __init__(self, settings: KafkaSettings, partitions: Partitions) -> None:
        """Raises LogError for security settings that Faust has no counterpart of."""
        self._partitions = partitions
        self._names = {settings.topic(topic): topic for topic in FOLDED}
        self._topics = {topic: name for name, topic in self._names.items()}
        self._room = asyncio.Event()
        self._viewed: dict[Partition, int] = {}
        """How far the views of assigned partitions are, as far as they are open here."""
        self._committed: dict[Partition, int] = {}
        self._moved = asyncio.Event()
        self._sought: dict[Partition, int] = {}
        self.is_stuck = False
        self.app = faust.App(
            settings.group,
            broker=[f"kafka://{host}" for host in settings.bootstrap.split(",")],
            broker_credentials=credentials(settings.properties),
            broker_client_id="headrace-worker",
            broker_session_timeout=SESSION_TIMEOUT_S,
            broker_heartbeat_interval=HEARTBEAT_INTERVAL_S,
            consumer_auto_offset_reset="earliest",
            stream_buffer_maxsize=BUFFERED_MAX,
            broker_max_poll_records=BUFFERED_MAX,
            store="memory://",
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
            autodiscover=False,
        )
        for topic in self._names:
            # Faust would keep each message until it is acknowledged. What the views hold is a number a partition, and
            # this worker commits that itself.
            channel = self.app.topic(
                topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", acks=False
            )
            self.app.agent(channel, name=f"headrace.fold.{topic}")(self._take)
        on_assigned: Any = self._on_assigned  # Faust's signals are typed for functions of any arguments
        self.app.on_partitions_assigned.connect(on_assigned)

    async def run(self, stopping: asyncio.Event) -> None:
        """Be a member of the group until stopping is set. Raises WorkerEnded when the app fails."""
        loop = asyncio.get_running_loop()

        def on_room() -> None:
            loop.call_soon_threadsafe(self._room.set)

        def on_stored(offsets: Mapping[Partition, int]) -> None:
            loop.call_soon_threadsafe(self._on_stored, dict(offsets))

        self._partitions.on_room(on_room)
        self._partitions.on_stored(on_stored)
        self._partitions.start()
        told = asyncio.create_task(stopping.wait())
        working = asyncio.create_task(self._work())
        try:
            await asyncio.wait({told, working}, return_when=asyncio.FIRST_COMPLETED)
            if not stopping.is_set():
                failure = working.exception() or self.app.crash_reason
                raise WorkerEnded(f"the worker's Kafka client ended: {failure!r}; start the worker again")
        finally:
            told.cancel()
            working.cancel()
            await self._end()

    async def _work(self) -> None:
        """Returns when the app has ended."""
        await self.app.start()
        ended = asyncio.create_task(self.app.wait_until_stopped())
        committing = asyncio.create_task(self._commit())
        try:
            await asyncio.wait({ended, committing}, return_when=asyncio.FIRST_COMPLETED)
            if committing.done():
                committing.result()
        finally:
            ended.cancel()
            committing.cancel()

    async def _end(self) -> None:
        await asyncio.to_thread(self._partitions.stop)
        # What the stop has stored is told here by the loop, and to the group while this is still a member.
        await asyncio.sleep(0)
        with suppress(Exception):
            await asyncio.wait_for(self._commit_once(), LAST_COMMIT_S)
        ending = asyncio.ensure_future(self.app.stop())
        await asyncio.wait({ending}, timeout=STOP_S)
        self.is_stuck = not ending.done()

    async def _take(self, stream: Any) -> AsyncIterator[None]:
        async for event in stream.events():
            message: Message = event.message
            partition = Partition(self._names[message.topic], message.partition)
            needed = self._partitions.needed_from(partition)
            if message.offset < needed:
                await self._pass_over(message.tp, partition, message.offset, needed)
            else:
                position = Position(*partition, message.offset)
                timestamp_ms = round(message.timestamp * 1000)
                headers: Any = message.headers or ()
                record = record_of(position, timestamp_ms, headers, message.key, message.value or b"")
                if not self._partitions.put([record]):
                    self._room.clear()
                    await self._room.wait()
            yield

    async def _pass_over(self, tp: TP, partition: Partition, offset: int, needed: int) -> None:
        """Skip a message that is folded already; many of them at once."""
        if needed - offset > SEEK_BEYOND and self._sought.get(partition, 0) < needed:
            self._sought[partition] = needed
            with suppress(Exception):  # not ours any more, or a rebalance is under way: it is brought, and passed over
                await self.app.consumer.seek(tp, needed)

    async def _on_assigned(self, _: Any, assigned: Iterable[TP], **__: Any) -> None:
        partitions = {Partition(self._names[x.topic], x.partition) for x in assigned if x.topic in self._names}
        logger.info("has %d partitions now", len(partitions))
        self._viewed = {p: offset for p, offset in self._viewed.items() if p in partitions}
        self._committed = {}
        self._sought = {}
        self._partitions.assign(partitions)
        self._moved.set()

    def _on_stored(self, offsets: Mapping[Partition, int]) -> None:
        self._viewed |= offsets
        self._moved.set()

    async def _commit(self) -> None:
        """Tell the group how far the views are, whenever they have moved on."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            await self._commit_once()
            await asyncio.sleep(COMMIT_INTERVAL_S)

    async def _commit_once(self) -> None:
        consumer: Any = self.app.consumer
        ours = consumer.assignment()
        moved = {
            TP(self._topics[p.topic], p.partition): p
            for p, offset in self._viewed.items()
            if self._committed.get(p) != offset
        }
        offsets = {tp: self._viewed[p] for tp, p in moved.items() if tp in ours}
        if not offsets:
            return
        # False while the group rebalances: what it hands out is committed then.
        if await consumer._commit(offsets):
            self._committed |= {moved[tp]: offset for tp, offset in offsets.items()}


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
