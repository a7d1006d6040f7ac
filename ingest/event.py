"""What every event type is made from."""

from __future__ import annotations

import msgspec


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an envelope's JSON data holds. Unknown fields are ignored."""
