"""A spool cut at any byte gives back every whole frame before the cut, and nothing else."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from headrace.ingest.codec import encode_frame
from headrace.ingest.envelope import Envelope
from headrace.sdk.spool import Spool
from hypothesis import given, settings
from hypothesis import strategies as st


def frame(number: int, size: int) -> bytes:
    return encode_frame(Envelope(str(number), "headrace.run.heartbeat", "s", "r", 0, os.urandom(size)))


def read_ids(spool: Spool, bytes_max: int) -> list[str]:
    ids: list[str] = []
    position = spool.acked
    while True:
        chunk = spool.read(position, spool.end, bytes_max)
        ids += [item.id for item in chunk.items if isinstance(item, Envelope)]
        if chunk.end == position:
            return ids
        position = chunk.end


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=30),
    segment=st.integers(200, 8000),
    bytes_max=st.integers(1, 20_000),
    cut=st.integers(0, 4000),
    acknowledged=st.integers(0, 30),
)
def test_any_cut_of_the_last_segment_keeps_all_whole_frames(
    sizes: list[int], segment: int, bytes_max: int, cut: int, acknowledged: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder) / "w", segment_bytes_max=segment, fsync=False)
        spool.create({})
        ends = [spool.append(frame(number, size)) for number, size in enumerate(sizes)]
        assert read_ids(spool, bytes_max) == [str(number) for number in range(len(sizes))]
        done = min(acknowledged, len(sizes))
        if done:
            spool.acknowledge(ends[done - 1])
        end = spool.end
        spool.release()
        path = Path(folder) / "w" / f"{end.segment:08d}.seg"
        left = max(0, end.offset - cut)
        os.truncate(path, left)
        adopted = Spool(Path(folder) / "w")
        assert adopted.adopt()
        whole = [n for n, at in enumerate(ends) if n >= done and (at.segment < end.segment or at.offset <= left)]
        assert read_ids(adopted, bytes_max) == [str(number) for number in whole]
        adopted.release()
