from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from headrace.ingest.codec import encode_frame
from headrace.ingest.envelope import Envelope
from headrace.sdk.spool import Spool, SpoolPosition, SpoolUnavailable


def frame(number: int, size: int = 100) -> bytes:
    return encode_frame(Envelope(str(number), "headrace.run.heartbeat", "s", "r", number, b"x" * size))


def read_all(spool: Spool, bytes_max: int = 8 * 1024**2) -> tuple[list[str], bytes]:
    ids, lost, position = [], b"", spool.acked
    while True:
        chunk = spool.read(position, spool.end, bytes_max)
        ids += [item.id for item in chunk.items if isinstance(item, Envelope)]
        lost += chunk.lost
        if chunk.end == position:
            return ids, lost
        position = chunk.end


def made(directory: Path, **arguments: int) -> Spool:
    spool = Spool(directory, **arguments)  # type: ignore[arg-type]
    spool.create({"target": "t"})
    return spool


def test_what_was_appended_is_read_in_order_over_many_segments(tmp_path: Path) -> None:
    spool = made(tmp_path / "w", segment_bytes_max=500)
    for number in range(20):
        spool.append(frame(number))
    assert len(list((tmp_path / "w").glob("*.seg"))) > 3
    assert read_all(spool) == ([str(number) for number in range(20)], b"")
    assert read_all(spool, bytes_max=1)[0] == [str(number) for number in range(20)]
    spool.release()


def test_a_living_writer_is_not_adopted_and_a_dead_one_goes_on_where_it_was_acknowledged(tmp_path: Path) -> None:
    spool = made(tmp_path / "w", segment_bytes_max=500)
    ends = [spool.append(frame(number)) for number in range(10)]
    spool.acknowledge(ends[5])
    assert not Spool(tmp_path / "w").adopt()
    spool.release()
    adopted = Spool(tmp_path / "w")
    assert adopted.adopt()
    assert adopted.acked == ends[5]
    assert read_all(adopted)[0] == ["6", "7", "8", "9"]
    adopted.remove()
    assert not (tmp_path / "w").exists()


def test_acknowledged_segments_are_deleted_and_make_room(tmp_path: Path) -> None:
    spool = made(tmp_path / "w", bytes_max=2000)
    while spool.bytes_waiting + len(frame(0)) <= 2000:
        spool.append(frame(0))
    with pytest.raises(SpoolUnavailable, match="its most"):
        spool.append(frame(1))
    spool.acknowledge(spool.end)
    spool.append(frame(2))
    assert read_all(spool)[0] == ["2"]
    spool.release()


@pytest.mark.parametrize("cut", [1, 15, 60])
def test_a_torn_tail_is_left_out_and_kept(tmp_path: Path, cut: int) -> None:
    spool = made(tmp_path / "w")
    spool.append(frame(1) + frame(2))
    spool.release()
    segment = tmp_path / "w" / "00000001.seg"
    os.truncate(segment, segment.stat().st_size - cut)
    adopted = Spool(tmp_path / "w")
    assert adopted.adopt()
    ids, lost = read_all(adopted)
    assert ids == ["1"]
    assert lost == frame(2)[:-cut]
    adopted.release()


def test_a_damaged_stretch_costs_the_rest_of_its_segment_only(tmp_path: Path) -> None:
    spool = made(tmp_path / "w", segment_bytes_max=700)
    for number in range(9):
        spool.append(frame(number))
    with open(tmp_path / "w" / "00000001.seg", "r+b") as file:
        file.seek(len(frame(0)) + 50)
        file.write(b"\0\0\0")
    ids, lost = read_all(spool)
    assert ids[0] == "0"
    assert ids[-1] == "8"
    assert lost
    spool.release()


def test_a_full_disk_leaves_no_partial_frame_and_the_write_succeeds_later(tmp_path: Path) -> None:
    script = f"""
import resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_spool import frame, made, read_all
from headrace.sdk.spool import SpoolUnavailable
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
spool = made(Path({str(tmp_path)!r}) / "w")
end = spool.append(frame(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (end.offset + 50, resource.RLIM_INFINITY))
try:
    spool.append(frame(2))
    raise SystemExit("it should not fit")
except SpoolUnavailable:
    pass
assert (spool.directory / "00000001.seg").stat().st_size == end.offset, "a partial frame was left"
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
spool.append(frame(2))
assert read_all(spool) == (["1", "2"], b"")
spool.release()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_an_unreadable_acknowledgement_sends_again_rather_than_losing(tmp_path: Path) -> None:
    spool = made(tmp_path / "w")
    spool.append(frame(1))
    spool.acknowledge(spool.end)
    spool.release()
    (tmp_path / "w" / "acked").write_bytes(b"garbage")
    adopted = Spool(tmp_path / "w")
    assert adopted.adopt()
    assert adopted.acked == SpoolPosition(1, 0)
    assert read_all(adopted)[0] == ["1"]
    adopted.release()
