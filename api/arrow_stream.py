"""Arrow IPC streams, written a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.ipc

ARROW_STREAM: Final = "application/vnd.apache.arrow.stream"
_BATCH_ROWS = 65_536


def stream(table: pa.Table) -> Iterator[bytes]:
    """A table as an Arrow IPC stream, one batch at a time."""
    sink = Sink()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), table.schema) as writer:
        for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
            writer.write_batch(batch)
            yield sink.taken()
    yield sink.taken()


class Sink:
    """A file that gives away what was written to it."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes | memoryview) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def taken(self) -> bytes:
        """Everything written since it was last asked."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data
