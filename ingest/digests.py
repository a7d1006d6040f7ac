"""The digest of a model's files: the same wherever it is taken, by a trainer, the server, or who loads the model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def digest_of(files: Iterable[tuple[str, str]]) -> str:
    """SHA-256, in hex, over the lines `<sha256>  <path>` of all files, sorted by path, as `sha256sum` writes them.

    files: each one's path below the model's folder, slashes between its parts, and the SHA-256 of its bytes in hex.
    """
    digest = hashlib.sha256()
    for path, sha256 in sorted(files):
        digest.update(f"{sha256}  {path}\n".encode())
    return digest.hexdigest()
