"""Models that were downloaded: folders below one, each named for its content, the oldest given up when they are many.

A name is a digest of the files, or the id of a logged model, whose files never change; so what is there is right.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from headrace.ingest.digests import digest_of
from headrace.sdk.models.mlmodel import NoModel
from headrace.sdk.transport import sha256_of

logger = logging.getLogger("headrace")

KEPT_S = 3600.0
"""What was used within this time is never given up: somebody may still read files of it."""


class WrongDigest(NoModel):
    """The files that came are not those that were registered."""


class Cache:
    """Folders of models below a folder. bytes_max: they take this much together, but for those in use."""

    def __init__(self, folder: Path, bytes_max: int) -> None:
        self._folder = folder
        self._bytes_max = bytes_max

    def get(self, key: str, digest: str, download: Callable[[Path], None], name: str) -> Path:
        """The folder of this key; download fills an empty one where there is none yet.

        key: safe as a file name. digest: of the files (`headrace.ingest.digests`), checked when they come; empty where
        it is not known. name: the model's, for the error. Raises WrongDigest, and what download raises.
        """
        target = self._folder / key
        if target.is_dir():
            with contextlib.suppress(OSError):
                os.utime(target)
            return target
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = Path(tempfile.mkdtemp(prefix=f".{key[:100]}-", dir=self._folder))
        try:
            download(part)
            if digest:
                check(part, digest, name)
            try:
                os.rename(part, target)
            except OSError:
                if not target.is_dir():  # else another process was quicker
                    raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
        self._prune(keep=target)
        return target

    def _prune(self, keep: Path) -> None:
        """Give up the folders that were used least recently, while all together are too large."""
        try:
            found = sorted((one.stat().st_mtime, one) for one in self._folder.iterdir() if one.is_dir())
            sizes = {one: size_of(one) for _, one in found}
            total = sum(sizes.values())
            for used_s, one in found:
                if total <= self._bytes_max:
                    return
                if one != keep and used_s < time.time() - KEPT_S:
                    shutil.rmtree(one, ignore_errors=True)
                    total -= sizes[one]
        except OSError as error:
            logger.warning("the cache of models %s could not be looked through: %s", self._folder, error)


def size_of(folder: Path) -> int:
    """The bytes of all files in a folder and below it."""
    return sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())


def digest_of_folder(folder: Path) -> str:
    """The digest of a model's files."""
    files = (one for one in folder.rglob("*") if one.is_file())
    return digest_of((one.relative_to(folder).as_posix(), sha256_of(one)) for one in files)


def check(folder: Path, digest: str, name: str) -> None:
    """Raises WrongDigest when the files of a folder are not those of the digest."""
    found = digest_of_folder(folder)
    if found != digest:
        raise WrongDigest(
            f"the files of {name} have the digest {found}, and {digest} was registered: they were changed since, or"
            " damaged on the way; do not load them"
        )
