"""What names registered models, aliases and stages may have: one place for the SDK, the API and the folds.

The rules and figures are MLflow's (3.x), so that what one accepts the other does too.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

NAME_CHARS_MAX = 256
ALIAS_CHARS_MAX = 255
STAGE_CHARS_MAX = 20
STAGES_MAX = 20
TAG_VALUE_CHARS_MAX = 100_000
DESCRIPTION_CHARS_MAX = 100_000
COMMENT_CHARS_MAX = 65_535

NONE, ARCHIVED = "None", "Archived"
DEFAULT_STAGES = ("Staging", "Production")
LATEST = "latest"

_ALIAS = re.compile(r"[\w\-]+")
_NUMBERED = re.compile(r"[vV]\d+")
_STAGE = re.compile(r"[A-Za-z][\w\- ]*")


def model_name_fault(name: str) -> str | None:
    """What is wrong with the name of a registered model, or None."""
    if not name.strip():
        return "it is empty"
    if "/" in name or ":" in name:
        return "names cannot contain '/' or ':'"
    if posixpath.normpath(name) != name or name == "." or name.startswith(".."):
        return "names are used as paths: `.` cannot be one, and none begins with `..`"
    if len(name) > NAME_CHARS_MAX:
        return f"it has {len(name)} characters, and at most {NAME_CHARS_MAX} are allowed"
    if "\0" in name:
        return "it holds a null character"
    return None


def alias_fault(alias: str) -> str | None:
    """What is wrong with an alias, or None: letters, digits, `_` and `-`; not `latest`, nor a version such as v3."""
    if not alias:
        return "it is empty"
    if _ALIAS.fullmatch(alias) is None:
        return "names may only contain alphanumerics, underscores (_), and dashes (-)"
    if len(alias) > ALIAS_CHARS_MAX:
        return f"it has {len(alias)} characters, and at most {ALIAS_CHARS_MAX} are allowed"
    if alias.lower() == LATEST or _NUMBERED.fullmatch(alias):
        return f"'{alias}' is reserved"
    return None


def stages_fault(stages: Sequence[str]) -> str | None:
    """What is wrong with the stages between None and Archived, or None. Their case does not tell them apart."""
    if len(stages) > STAGES_MAX:
        return f"there are {len(stages)} stages, and at most {STAGES_MAX} are allowed"
    seen = {NONE.lower(), ARCHIVED.lower()}
    for stage in stages:
        if len(stage) > STAGE_CHARS_MAX or _STAGE.fullmatch(stage) is None or stage != stage.strip():
            return (
                f"the stage {stage!r} is not a letter followed by letters, digits, `_`, `-` and spaces, up to"
                f" {STAGE_CHARS_MAX} characters"
            )
        if stage.lower() == LATEST or _NUMBERED.fullmatch(stage):
            return f"the stage {stage!r} would read as a version in models:/ URIs"
        if stage.lower() in seen:
            return f"the stage {stage!r} is there twice; None and Archived are always there"
        seen.add(stage.lower())
    return None
