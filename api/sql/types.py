"""Types that Arrow would not tell as they are (a time as a number, a word as its code): made ones that it does."""

from __future__ import annotations

import re
from collections.abc import Sequence

from headrace.processors.schema import literal, quoted

_WORDS = re.compile(
    r"""(?P<time>\bDateTime\b(?!64)(?:\('(?P<zone>[^']*)'\))?)
      | (?P<text>\bEnum(?:8|16)\((?:'(?:[^'\\]|\\.)*'\ =\ -?\d+(?:,\ )?)+\)
            | \bFixedString\(\d+\) | \bIPv[46]\b | \bU?Int(?:128|256)\b | \bTime(?:64)?\b(?:\(\d\))?
            | \bJSON\b(?:\((?:[^()']|'(?:[^'\\]|\\.)*'|\([^()]*\))*\))? | \bDynamic\b(?:\([^()]*\))?)
      | (?P<variant>\bVariant\()
      | (?P<float>\bBFloat16\b)
      | (?P<name>`(?:[^`\\]|\\.)*`)
    """,
    re.VERBOSE,
)


def told(kind: str) -> str:
    """The type to turn a column into before it becomes Arrow; the same for most."""
    found = _WORDS.search(kind)
    if found is None:
        return kind
    if "Variant(" in kind:
        return "String"
    return _WORDS.sub(_told_word, kind)


def _told_word(found: re.Match[str]) -> str:
    if found.group("time"):
        return f"DateTime64(0, '{found.group('zone') or 'UTC'}')"
    if found.group("float"):
        return "Float32"
    return "String" if found.group("text") else found.group()


def projection(columns: Sequence[tuple[str, str]]) -> str:
    """What to select of a statement's columns, names and types, so that each is told as what it is."""
    changed = [(name, new) for name, kind in columns if (new := told(kind)) != kind]
    if not changed:
        return "*"
    casts = ", ".join(f"CAST({quoted(name)}, {literal(new)}) AS {quoted(name)}" for name, new in changed)
    return f"* REPLACE ({casts})"
