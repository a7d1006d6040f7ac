"""The envelope around every event: CloudEvents 1.0 attributes and Headrace's extensions."""

from __future__ import annotations

from typing import Annotated

import msgspec

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"
MSGPACK = "application/msgpack"

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""An integer that fits a column of the views; decoding refuses others, so they never reach a fold."""
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""As Int64, and not negative."""


class Attributes(msgspec.Struct, frozen=True, rename={"time_ms": "time"}, omit_defaults=True):
    """An envelope without its data: what the log keeps as headers.

    Names and meaning follow CloudEvents 1.0 (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md);
    `time` is an integer of milliseconds since the epoch, UTC, rather than an RFC 3339 string.
    """

    id: str
    type: str
    source: str
    subject: str
    time_ms: Int64
    datacontenttype: str = JSON
    schemaversion: Count = 1
    actor: str = ""
    writer: str = ""
    sequence: Count = 0


class Envelope(msgspec.Struct, frozen=True):
    """One event as it travels.

    id: unique within source.
    type: `headrace.<entity>.<past tense>`.
    source: what made it, for instance `sdk/trainer-7` or `api`.
    subject: the id of the run, experiment or model it is about; the log's key.
    time_ms: when it happened, milliseconds since the epoch, UTC, by the clock of whoever made it.
    data: JSON; for metric points an Arrow IPC stream, or MessagePack from a writer that has no pyarrow at hand yet, as
        content_type says.
    schema_version: of the data; readers read all versions up to the one they know.
    actor: the user on whose behalf it was made.
    writer, sequence: set by writers that may send twice. A writer counts 1, 2, 3, … for each (topic, subject), so a
        fold can drop what it has seen and report what it missed. Empty and 0 for events that are never resent.
    """

    id: str
    type: str
    source: str
    subject: str
    time_ms: int
    data: bytes
    content_type: str = JSON
    schema_version: int = 1
    actor: str = ""
    writer: str = ""
    sequence: int = 0

    def attributes(self) -> Attributes:
        """All but the data."""
        return Attributes(
            self.id,
            self.type,
            self.source,
            self.subject,
            self.time_ms,
            # The very object that is the default, which alone is left out: so equal envelopes have equal bytes.
            JSON if self.content_type == JSON else self.content_type,
            self.schema_version,
            self.actor,
            self.writer,
            self.sequence,
        )


def from_attributes(attributes: Attributes, data: bytes) -> Envelope:
    """The envelope that has these attributes and this data."""
    a = attributes
    return Envelope(
        a.id,
        a.type,
        a.source,
        a.subject,
        a.time_ms,
        data,
        a.datacontenttype,
        a.schemaversion,
        a.actor,
        a.writer,
        a.sequence,
    )
