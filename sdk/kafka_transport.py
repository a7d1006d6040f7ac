"""Straight to a log on Kafka: events go to the brokers, files to the server that a setting names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from headrace.ingest.codec import Malformed
from headrace.ingest.envelope import Envelope
from headrace.ingest.kafka import KafkaLog
from headrace.ingest.kafka_errors import TooLong
from headrace.ingest.kafka_settings import parse
from headrace.ingest.log import LogError
from headrace.sdk.settings import Settings
from headrace.sdk.transport import Artifact, HttpTransport, Receipt, Refused, TooLarge, Unavailable


class KafkaTransport:
    """A log on Kafka. Nothing connects before it is used, and so in the thread that uses it.

    A child of a fork makes its own, as it does of all that ships: it never touches what its parent had open.
    """

    def __init__(self, uri: str, settings: Settings) -> None:
        """Raises Unavailable when the URI, or the file of properties, cannot be used."""
        try:
            self._log_settings = parse(uri)
        except LogError as error:
            raise Unavailable(str(error)) from error
        self._settings = settings
        self._log: KafkaLog | None = None
        self._files: HttpTransport | None = None

    def send(self, frames: bytes, items: Sequence[Envelope | Malformed]) -> Receipt:
        """As Transport.send. What brokers did not confirm is sent again; folds drop by its sequence what is there."""
        good = [item for item in items if isinstance(item, Envelope)]
        bad = [(index, str(item)) for index, item in enumerate(items) if not isinstance(item, Envelope)]
        try:
            if self._log is None:
                self._log = KafkaLog(self._log_settings, self._settings.request_timeout_s, check_settings=False)
            self._log.append(good)
        except TooLong as error:
            raise TooLarge(str(error)) from error
        except LogError as error:
            raise Unavailable(str(error)) from error
        return Receipt(len(good), bad)

    def put_artifact(self, artifact: Artifact, file: Path) -> None:
        uri = self._settings.artifacts_uri
        if not uri:
            raise Refused(
                f"{self._log_settings.name} takes events and no files; name the server that keeps them with"
                " artifacts_uri (HEADRACE_ARTIFACTS_URI)"
            )
        if self._files is None:
            self._files = HttpTransport(uri, self._settings)
        self._files.put_artifact(artifact, file)

    def close(self) -> None:
        if self._log is not None:
            self._log.close()
        if self._files is not None:
            self._files.close()
