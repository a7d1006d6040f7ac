"""What names, values and sizes are allowed: one place for the SDK, the API and the folds.

The figures are MLflow's (3.x), so that what one accepts the other does too.
"""

from __future__ import annotations

import functools
import hashlib
import posixpath
import re

KEY_CHARS_MAX = 250
PARAM_VALUE_CHARS_MAX = 6000
TAG_VALUE_CHARS_MAX = 8000
EXPERIMENT_TAG_VALUE_CHARS_MAX = 5000
EXPERIMENT_NAME_CHARS_MAX = 500
BATCH_METRICS_MAX = 1000
BATCH_PARAMS_MAX = 100
BATCH_TAGS_MAX = 100
BATCH_ENTITIES_MAX = 1000
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

DEFAULT_EXPERIMENT_ID = "0"
DEFAULT_EXPERIMENT_NAME = "Default"

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,255}")
# MLflow's set for keys of params, metrics and tags: no control characters, no quotes.
_KEY = re.compile(r"[/\w.\-\s:]+")


def is_run_id(text: str) -> bool:
    """Whether this can be a run's id: letters, digits, `-` and `_`, up to 256 characters."""
    return _RUN_ID.fullmatch(text) is not None


@functools.lru_cache(maxsize=16_384)
def key_fault(key: str) -> str | None:
    """What is wrong with the key of a param, metric or tag, or None.

    Keys hold letters of any alphabet, digits, `_ - . : /` and white space, and are relative paths in normal form,
    since clients make file names of them.
    """
    if not key:
        return "it is empty"
    if len(key) > KEY_CHARS_MAX:
        return f"it has {len(key)} characters, and at most {KEY_CHARS_MAX} are allowed"
    if _KEY.fullmatch(key) is None:
        return (
            "names may only hold alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colons (:) and"
            " slashes (/)"
        )
    if posixpath.normpath(key) != key or key == "." or key.startswith(("../", "/")) or key == "..":
        return "names are used as relative paths: no empty, `.` or `..` parts and no slash at either end"
    return None


def artifact_path_fault(path: str) -> str | None:
    """What is wrong with an artifact's path below its run's root, or None. Slashes separate; nothing may climb out."""
    if not path:
        return "it is empty"
    if "\\" in path or "\0" in path:
        return "it holds a backslash or a null character"
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        return "it is absolute"
    if any(part in ("", ".", "..") for part in path.split("/")):
        return "it has an empty, `.` or `..` part"
    if len(path.encode()) > 4096 or any(len(part.encode()) > 255 for part in path.split("/")):
        return "it is too long for a file name"
    return None


def experiment_id_of(name: str, attempt: int = 0) -> str:
    """The id an experiment of this name gets: the same everywhere, so a trainer knows it without asking a server.

    18 decimal digits of the name's SHA-256. attempt > 0 gives other ids, for a name whose id is taken because the
    experiment that had it was renamed.
    """
    if name == DEFAULT_EXPERIMENT_NAME and attempt == 0:
        return DEFAULT_EXPERIMENT_ID
    digest = hashlib.sha256(f"{name}\0{attempt}".encode() if attempt else name.encode()).digest()
    return str(10**17 + int.from_bytes(digest[:8], "big") % (9 * 10**17))
