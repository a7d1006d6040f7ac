"""Frames between a server and its workers come out as they went in, however the bytes are cut."""

from __future__ import annotations

import pytest
from headrace.sdk.serving.frames import BadFrame, Frames, encoded
from hypothesis import given
from hypothesis import strategies as st

HEADS = st.recursive(st.none() | st.integers(0, 999) | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
MESSAGES = st.tuples(st.integers(0, 255), st.integers(0, 2**64 - 1), HEADS, st.binary(max_size=300))


@given(st.lists(MESSAGES, max_size=5), st.integers(1, 50))
def test_frames_come_out_as_they_went_in(messages: list[tuple[int, int, object, bytes]], size: int) -> None:
    stream = b"".join(part for message in messages for part in encoded(*message))
    frames = Frames()
    found = [frame for at in range(0, len(stream), size) for frame in frames.feed(stream[at : at + size])]
    assert [tuple(frame) for frame in found] == messages


def test_a_body_that_is_long_is_not_copied_behind_its_head() -> None:
    body = bytes(100_000)
    head, last = encoded(4, 1, ["POST", "/", {}], body)
    assert last is body
    [frame] = Frames().feed(head + last)
    assert frame.body == body


@pytest.mark.parametrize("stream", [b"\xff" * 17, (13).to_bytes(4, "little") + bytes(9) + b"\x09\0\0\0"])
def test_what_is_no_frame_is_refused(stream: bytes) -> None:
    with pytest.raises(BadFrame):
        list(Frames().feed(stream))
