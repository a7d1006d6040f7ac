"""Makes the clients of librdkafka, never while the process forks.

A client belongs to the process that made it: its threads are not in a child, so a child may neither use nor close it,
and makes its own. What librdkafka holds locked while a client is made would stay locked in a child for ever.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from confluent_kafka import KafkaException
from headrace.ingest.kafka_errors import explain
from headrace.ingest.kafka_settings import KafkaSettings

C = TypeVar("C")

_making = threading.Lock()


def make(kind: Callable[[dict[str, Any]], C], settings: KafkaSettings, doing: str, configuration: dict[str, Any]) -> C:
    """A client of this kind. doing: what for, as in `explain`. Raises LogError for a property that is not known."""
    with _making:
        try:
            return kind(configuration)
        except KafkaException as error:
            raise explain(settings, doing, error) from error


os.register_at_fork(before=_making.acquire, after_in_parent=_making.release, after_in_child=_making.release)
