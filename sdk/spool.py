"""The spool: one folder a writer on local disk, where frames wait until the target has acknowledged them.

<spool_dir>/<writer>/
    lock             held (flock) by the living process; free when it is dead
    meta.json        target, process and version; written once the lock is held
    00000001.seg …   frames, appended; a segment that is acknowledged as a whole is deleted
    acked            the position up to which the target has everything
    artifacts.jsonl  staged artifacts, one a line; artifacts/ their bytes; artifacts.done those that are stored
    rejected/        what the target refused for good, with its reason
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from headrace.ingest.codec import Malformed, decode_frames
from headrace.ingest.envelope import Envelope

SEGMENT_BYTES_MAX = 16 * 1024 * 1024
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_sync_data = getattr(os, "fdatasync", os.fsync)


class SpoolUnavailable(Exception):
    """The spool cannot be written now; nothing of the write is in it, and trying again may succeed."""


class SpoolPosition(NamedTuple):
    """A place between two frames: the segment's number, from 1, and the offset in it, bytes."""

    segment: int
    offset: int


START = SpoolPosition(1, 0)


class Chunk(NamedTuple):
    """Whole frames as they stand in the spool. end: the position behind them. lost: bytes skipped as unreadable."""

    data: bytes
    items: list[Envelope | Malformed]
    end: SpoolPosition
    lost: bytes = b""


class Spool:
    """One writer's folder, written by one thread and read by another of the same process, or read by `sync`."""

    def __init__(
        self,
        directory: Path,
        *,
        bytes_max: int = 10 * 1024**3,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
        fsync: bool = True,
    ) -> None:
        self.directory = directory
        self._bytes_max = bytes_max
        # Segments are deleted whole, so several must fit for a full spool to find room again.
        self._segment_bytes_max = min(segment_bytes_max, max(bytes_max // 4, 1))
        self._fsync = fsync
        self._lock_fd = -1
        self._segment_fd = -1
        self._end = START
        self._acked = START
        self._acked_fd = -1
        self._bytes = 0
        self._bytes_lock = threading.Lock()

    # --- opening and closing ------------------------------------------------------------------------------------------

    def create(self, meta: Mapping[str, Any]) -> None:
        """Make the folder and hold its lock. May be called again after it failed. Raises SpoolUnavailable."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self._lock():
                raise SpoolUnavailable(f"{self.directory} belongs to another process")
            temporary = self.directory / "meta.json.new"
            temporary.write_text(json.dumps(dict(meta), indent=1) + "\n", "utf-8")
            os.replace(temporary, self.directory / "meta.json")
        except OSError as error:
            raise SpoolUnavailable(f"cannot make the spool {self.directory}: {error}") from error

    def adopt(self) -> bool:
        """Take over the folder of a dead writer: hold its lock and find its ends. False when it lives or is gone."""
        try:
            if not (self.directory / "meta.json").exists() or not self._lock():
                return False
            # The one who held the lock before may have shipped everything and removed the folder meanwhile.
            if not (self.directory / "meta.json").exists():
                self.release()
                return False
            segments = self._segments()
            if segments:
                last = segments[-1]
                self._end = SpoolPosition(last, self._path(last).stat().st_size)
                self._acked = max(self._read_acked(), SpoolPosition(segments[0], 0))
                self._acked = min(self._acked, self._end)
            self._bytes = sum(self._path(segment).stat().st_size for segment in segments)
        except OSError:
            self.release()
            return False
        return True

    def meta(self) -> dict[str, Any]:
        """What the writer said about itself; empty when that cannot be read."""
        try:
            loaded = json.loads((self.directory / "meta.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return loaded if isinstance(loaded, dict) else {}

    def release(self) -> None:
        """Close all files; the lock is free after it."""
        for fd in (self._segment_fd, self._acked_fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)
        self._segment_fd = self._acked_fd = self._lock_fd = -1

    def remove(self) -> None:
        """Delete the folder of a writer that has shipped all it had. The lock is kept until it is gone."""
        (self.directory / "meta.json").unlink(missing_ok=True)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.release()

    def _lock(self) -> bool:
        if self._lock_fd >= 0:
            return True
        fd = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        except BaseException:
            os.close(fd)
            raise
        self._lock_fd = fd
        return True

    # --- writing ------------------------------------------------------------------------------------------------------

    @property
    def end(self) -> SpoolPosition:
        """The position behind the last frame that is safely written."""
        return self._end

    @property
    def acked(self) -> SpoolPosition:
        """The position up to which the target has everything."""
        return self._acked

    @property
    def bytes_waiting(self) -> int:
        """Bytes of the segments on disk."""
        return self._bytes

    def bytes_left(self) -> int:
        """Bytes between what is acknowledged and the end. Raises OSError."""
        total = 0
        for segment in self._segments():
            if self._acked.segment <= segment <= self._end.segment:
                size = self._end.offset if segment == self._end.segment else self._path(segment).stat().st_size
                total += size - (self._acked.offset if segment == self._acked.segment else 0)
        return total

    def append(self, frames: bytes) -> SpoolPosition:
        """Write whole frames behind the last; when it returns they survive a crash. All of them or nothing.

        Raises SpoolUnavailable when the disk or the spool's bound is full, or the disk fails.
        """
        if not frames:
            return self._end
        if self._bytes + len(frames) > self._bytes_max:
            raise SpoolUnavailable(f"the spool {self.directory} holds its most of {self._bytes_max} bytes")
        segment, offset = self._end
        if offset and offset + len(frames) > self._segment_bytes_max:
            self._close_segment()
            segment, offset = segment + 1, 0
        try:
            if self._segment_fd < 0:
                self._segment_fd = os.open(self._path(segment), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
                os.ftruncate(self._segment_fd, offset)
            view = memoryview(frames)
            written = 0
            while written < len(view):
                written += os.pwrite(self._segment_fd, view[written:], offset + written)
            if self._fsync:
                _sync_data(self._segment_fd)
        except OSError as error:
            self._undo(segment, offset)
            raise SpoolUnavailable(f"cannot write the spool {self.directory}: {error}") from error
        with self._bytes_lock:
            self._bytes += len(frames)
        self._end = SpoolPosition(segment, offset + len(frames))
        return self._end

    def _undo(self, segment: int, offset: int) -> None:
        """Cut off what was written in part, and go on in the next segment.

        On a full disk the segment must end, so that its room is free once it is acknowledged; and after any other
        failure the file is not trusted again.
        """
        if self._segment_fd >= 0:
            try:
                os.ftruncate(self._segment_fd, offset)
            except OSError:
                pass
        self._close_segment()
        if offset:
            self._end = SpoolPosition(segment + 1, 0)

    def _close_segment(self) -> None:
        if self._segment_fd >= 0:
            fd, self._segment_fd = self._segment_fd, -1
            try:
                os.close(fd)
            except OSError:
                pass

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self, start: SpoolPosition, end: SpoolPosition, bytes_max: int) -> Chunk:
        """Frames from start on, at most bytes_max of them but at least one, not beyond end.

        What cannot be read (a tail torn by a crash, a damaged stretch) is skipped up to the next segment and returned
        as `lost`, so that the caller can keep it. Raises OSError.
        """
        segment, offset = start
        while segment < end.segment and (
            not self._path(segment).exists() or offset >= self._path(segment).stat().st_size
        ):
            segment, offset = segment + 1, 0
        limit = end.offset if segment == end.segment else self._path(segment).stat().st_size
        size = min(bytes_max, limit - offset)
        if size <= 0:
            return Chunk(b"", [], SpoolPosition(segment, offset))
        with open(self._path(segment), "rb") as file:
            file.seek(offset)
            data = file.read(size)
            items, used, damaged = _whole_frames(data)
            if not used and not damaged and offset + size < limit:  # one frame, larger than bytes_max
                data += file.read(min(limit - offset - size, 17 * 1024 * 1024))
                items, used, damaged = _whole_frames(data, frames_max=1)
            if used or not (damaged or offset + len(data) >= limit):
                return Chunk(data[:used], items, SpoolPosition(segment, offset + used))
            file.seek(offset)
            lost = file.read(limit - offset)
        following = SpoolPosition(segment, limit) if segment == end.segment else SpoolPosition(segment + 1, 0)
        return Chunk(b"", [], following, lost)

    # --- acknowledgements ---------------------------------------------------------------------------------------------

    def acknowledge(self, position: SpoolPosition) -> None:
        """The target has everything before position: delete segments that are done and note it on disk.

        A note that is lost only means that some frames are sent again, byte for byte. Raises OSError, but not for a
        full disk: shipping is what makes room there.
        """
        before, self._acked = self._acked, position
        for segment in range(before.segment, position.segment):
            path = self._path(segment)
            try:
                size = path.stat().st_size
                path.unlink()
            except FileNotFoundError:
                continue
            with self._bytes_lock:
                self._bytes -= size
        try:
            if self._acked_fd < 0:
                self._acked_fd = os.open(self.directory / "acked", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            # One write of fixed length into one sector: a crash leaves the old line or the new one.
            os.pwrite(self._acked_fd, b"%08d %020d\n" % position, 0)
        except OSError as error:
            if error.errno not in _NO_SPACE:
                raise

    def reject(self, position: SpoolPosition, data: bytes, reason: str) -> Path:
        """Keep bytes that will never be accepted, with the reason beside them. Raises OSError."""
        folder = self.directory / "rejected"
        folder.mkdir(exist_ok=True)
        name = f"{position.segment:08d}-{position.offset:012d}"
        (folder / f"{name}.txt").write_text(reason + "\n", "utf-8")
        path = folder / f"{name}.frames"
        path.write_bytes(data)
        return path

    def has_rejected(self) -> bool:
        """Whether something was refused for good."""
        return any((self.directory / "rejected").glob("*"))

    def _read_acked(self) -> SpoolPosition:
        try:
            segment, offset = (self.directory / "acked").read_bytes().split()
            return SpoolPosition(int(segment), int(offset))
        except (OSError, ValueError):
            return START

    def _segments(self) -> list[int]:
        return sorted(int(path.stem) for path in self.directory.glob("*.seg") if path.stem.isdigit())

    def _size(self, segment: int) -> int:
        """Bytes of a segment; 0 when it is gone."""
        try:
            return self._path(segment).stat().st_size
        except FileNotFoundError:
            return 0

    def _path(self, segment: int) -> Path:
        return self.directory / f"{segment:08d}.seg"


def _whole_frames(data: bytes, frames_max: int = 2**62) -> tuple[list[Envelope | Malformed], int, bool]:
    """The frames that are whole, the bytes they take, and whether what follows them is damaged."""
    items: list[Envelope | Malformed] = []
    used = 0
    try:
        for item, end in decode_frames(data):
            items.append(item)
            used = end
            if len(items) >= frames_max:
                break
    except Malformed:
        return items, used, True
    return items, used, False
