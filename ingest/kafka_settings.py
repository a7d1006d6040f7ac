"""Where a log on Kafka is and how to talk to it: its URL, and the properties of librdkafka beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from headrace.ingest.log import LogError

SCHEME = "kafka://"
DEFAULT_PORT = 9092
DEFAULT_PREFIX = "headrace"
CONFIG_VARIABLE = "HEADRACE_KAFKA_CONFIG"
MESSAGE_BYTES_MAX = 20 * 1024**2
"""The longest message, bytes: what the server's longest body can hold, with room for headers."""

_OURS = {
    "bootstrap.servers": "brokers are named in the URL: kafka://host:9092,host2:9092",
    "metadata.broker.list": "brokers are named in the URL: kafka://host:9092,host2:9092",
    "group.id": "the group is <prefix>.views",
    "enable.idempotence": "every producer is idempotent",
    "enable.gapless.guarantee": "a writer's events stay in their order",
    "delivery.timeout.ms": "each append has its own bound",
    "message.timeout.ms": "each append has its own bound",
    "acks": "a write is acknowledged by all replicas in sync",
    "request.required.acks": "a write is acknowledged by all replicas in sync",
    "partitioner": "all producers agree on murmur2 of the subject",
    "enable.auto.commit": "the views know their position",
    "auto.offset.reset": "a reader never jumps over records",
    "isolation.level": "readers see every record",
    "enable.partition.eof": "readers need it",
    "transactional.id": "Headrace uses no transactions",
}
"""Properties that the log's promises rest on, and why nobody else sets them."""

# Topics are named `<prefix>.<name>`, at most 249 characters of these.
_PREFIX = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+)(?::(\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """A log on Kafka.

    bootstrap: `host:port[,host:port]`. prefix: of its topics' names. properties: of librdkafka, from the file and the
    URL; they hold secrets, so messages name the log by `name`.
    """

    bootstrap: str
    prefix: str = DEFAULT_PREFIX
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The log's URL without properties, fit for messages."""
        return f"{SCHEME}{self.bootstrap}/{self.prefix}"

    @property
    def group(self) -> str:
        """The consumer group whose committed offsets say how far the views have come."""
        return f"{self.prefix}.views"

    def topic(self, name: str) -> str:
        """A topic's name on the broker."""
        return f"{self.prefix}.{name}"

    def client(self, error_cb: Callable[[Any], None], **properties: Any) -> dict[str, Any]:
        """The configuration of a client; properties with `_` for `.`. What the user set goes above these, not below."""
        ours = {name.replace("_", "."): value for name, value in properties.items()}
        return {
            # librdkafka would write to the process's stderr; error_cb hears what matters.
            "log_level": 0,
            "client.id": "headrace",
            "socket.keepalive.enable": True,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1000,
            **ours,
            **self.properties,
            **{name: value for name, value in ours.items() if name in _OURS},
            "bootstrap.servers": self.bootstrap,
            "error_cb": error_cb,
        }


def is_kafka(uri: str) -> bool:
    """Whether a URI names a log on Kafka."""
    return uri.lower().startswith("kafka:")


def parse(url: str, environ: Mapping[str, str] = os.environ) -> KafkaSettings:
    """The settings that `kafka://host:9092[,host2:9092][/prefix][?property=value&…]` and the file of properties name.

    HEADRACE_KAFKA_CONFIG names that file: lines `property=value`, `#` before a comment; the URL's properties rank
    above it. Raises LogError that says what is wrong, without a property's value in it.
    """
    shown = url.split("?", 1)[0]
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise LogError(f"{shown.rpartition('@')[2]} is no URL: {error}") from None
    if parts.scheme != "kafka" or not url.lower().startswith(SCHEME):
        raise LogError(f"{shown} is no log on Kafka; write kafka://host:9092")
    if "@" in parts.netloc:
        raise LogError(
            "a kafka:// URL takes no user and password before the host; set sasl.username and sasl.password after `?`"
            f" or in the file that {CONFIG_VARIABLE} names"
        )
    if parts.fragment:
        raise LogError(f"{shown} has a fragment; write a `#` in a property's value as %23")
    prefix = unquote(parts.path).strip("/") or DEFAULT_PREFIX
    if not _PREFIX.fullmatch(prefix):
        raise LogError(
            f"{shown}: {prefix!r} cannot begin topic names; use up to 200 letters, digits, `.`, `_` and `-` after the"
            " slash"
        )
    properties = _from_file(environ.get(CONFIG_VARIABLE, ""))
    try:
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query), errors="strict")
    except ValueError:
        raise LogError(f"{shown}: what follows `?` is not property=value&property=value") from None
    properties.update(_checked(pairs, "the URL"))
    return KafkaSettings(",".join(_host(shown, one) for one in parts.netloc.split(",")), prefix, properties)


def _host(shown: str, text: str) -> str:
    """One broker as host:port. Raises LogError."""
    match = _HOST.fullmatch(text)
    if match is None or int(match[2] or DEFAULT_PORT) not in range(1, 65536):
        raise LogError(f"{shown}: {text!r} is no broker; write host:9092, several with a comma between")
    return f"{match[1]}:{match[2] or DEFAULT_PORT}"


def _from_file(path: str) -> dict[str, str]:
    """The properties of the file at `path`; none when it is empty. Raises LogError."""
    if not path:
        return {}
    try:
        text = Path(path).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LogError(f"{CONFIG_VARIABLE} names {path}, which cannot be read: {error}") from error
    pairs = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            if not equals:
                raise LogError(f"{path} ({CONFIG_VARIABLE}), line {number}: write property=value")
            pairs.append((name.strip(), value.strip()))
    return _checked(pairs, f"{path} ({CONFIG_VARIABLE})")


def _checked(pairs: list[tuple[str, str]], origin: str) -> dict[str, str]:
    for name, _ in pairs:
        if name in _OURS:
            raise LogError(f"{origin} sets {name}, which Headrace sets itself: {_OURS[name]}. Leave it out")
        if name.endswith("_cb") or name in ("logger", "on_delivery", ""):
            raise LogError(f"{origin} sets {name!r}, which is no property of librdkafka; leave it out")
    return dict(pairs)
