"""Portable files: what is written is what is read, and what is damaged is refused."""

from __future__ import annotations

import json
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from headrace.ingest import codec
from headrace.ingest.envelope import Envelope
from headrace.sdk.coming.arrival import framed
from headrace.sdk.going import portable
from headrace.sdk.going.portable import Bad, PortableFile, Writer


def envelope(number: int) -> Envelope:
    return Envelope(f"id{number}", "headrace.run.heartbeat", "test", "r1", number, bytes([number % 256]) * 1000)


def written(tmp_path: Path, events: int = 100, member_bytes: int = portable.MEMBER_BYTES) -> Path:
    path = tmp_path / "a.headrace"
    (tmp_path / "file").write_bytes(b"hello" * 1000)
    with Writer(path, member_bytes) as writer:
        for number in range(events):
            writer.add(codec.encode_frame(envelope(number)))
        assert writer.add_file("1/r1/artifacts/a", tmp_path / "file") == 5000
        writer.finish("http://there", ["r1"], 1, {"1": "digits"}, [])
    return path


def test_frames_and_files_come_back_as_they_were(tmp_path: Path) -> None:
    file = PortableFile(written(tmp_path, member_bytes=10_000))
    assert sum(member.name.startswith("events/") for member in file.manifest.members) > 5
    assert sum(file.check()) == sum(member.size for member in file.manifest.members)
    assert [one for one, _ in framed(file.frames())] == [envelope(number) for number in range(100)]
    file.fetch(file.manifest.artifacts[0], tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"hello" * 1000
    file.close()


def test_a_stream_that_ends_within_a_frame_is_malformed() -> None:
    frames = b"".join(codec.encode_frame(envelope(number)) for number in range(3))
    assert len(list(framed([frames[:100], frames[100:1500], frames[1500:]]))) == 3
    with pytest.raises(codec.Malformed, match="in the middle of a frame"):
        list(framed([frames[:-1]]))


def test_a_file_that_was_not_finished_does_not_appear(tmp_path: Path) -> None:
    def broken_off() -> None:
        with Writer(tmp_path / "a.headrace") as writer:
            writer.add(codec.encode_frame(envelope(1)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_any_byte_changed_is_refused_or_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, 20)
    whole = path.read_bytes()
    expected = [envelope(number) for number in range(20)]
    for place in range(0, len(whole), max(1, len(whole) // 200)):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        path.write_bytes(changed)
        try:
            with closing(PortableFile(path)) as file:
                for _ in file.check():
                    pass
                found = [one for one, _ in framed(file.frames())]
        except (Bad, codec.Malformed):
            continue
        assert found == expected, place


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ({"format": "headrace", "version": 99}, "manifest that cannot be read"),
        ({}, "manifest that cannot be read"),
        (None, "is no portable file"),
    ],
)
def test_what_is_another_archive_is_refused(manifest: object, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "other.headrace"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", b"y") if manifest is None else archive.writestr("manifest.json", json.dumps(manifest))
    with pytest.raises(Bad, match=expected):
        PortableFile(path)


def test_a_file_of_a_later_version_is_refused_by_name(tmp_path: Path) -> None:
    path = written(tmp_path, 1)
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    with zipfile.ZipFile(tmp_path / "later.headrace", "w") as archive:
        archive.writestr("manifest.json", json.dumps({**manifest, "version": 2}))
    with pytest.raises(Bad, match="version 2, and this Headrace reads 1"):
        PortableFile(tmp_path / "later.headrace")
