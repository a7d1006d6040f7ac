"""The values of an entry point's parameters, checked; and the command they make, in which none is ever executed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from headrace.sdk.projects.errors import BadProject
from headrace.sdk.projects.mlproject import EntryPoint, Parameter

_INTEGER = re.compile(r"[+-]?\d+(_\d+)*")
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./^~-]*")
"""Values that mean nothing to a shell, wherever they stand."""
_PARSED_AGAIN = re.compile(r"`|<<|\$\(|\b(?:eval|xargs|source)\b|\b(?:[a-z]*sh|env|su|ssh)\b[^|;&]*\s-[a-z]*[cS]\b")
"""Commands that hand text to another shell, in which our quotes would be gone."""
_NAME = re.compile(r"\{(\{)|\}(\})|\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Values:
    """given: every parameter as it was given, to be logged. used: those with paths and files in place, for the command.

    extra: names that the entry point does not declare.
    """

    given: Mapping[str, str]
    used: Mapping[str, str]
    extra: tuple[str, ...] = ()


def values_of(
    entry: EntryPoint,
    given: Mapping[str, object],
    project: Path,
    working: Path,
    fetch: Callable[[str, int], Path],
) -> Values:
    """Check what was given against what is declared, and fill in defaults.

    project, working: folders that a default path and a given path start from. fetch: brings a remote `path` here, given
    its URI and a number. Raises BadProject, which names the parameter and what it takes.
    """
    texts = {name: _text(name, value) for name, value in given.items()}
    missing = [one for one, told in entry.parameters.items() if one not in texts and told.default is None]
    if missing:
        wanted = ", ".join(f"{one} ({entry.parameters[one].type})" for one in missing)
        raise BadProject(f"the entry point {entry.name!r} needs a value for {wanted}; give it with -P NAME=VALUE")
    all_given: dict[str, str] = {}
    used: dict[str, str] = {}
    for number, (name, declared) in enumerate(entry.parameters.items()):
        base = working if name in texts else project
        value = texts.get(name, declared.default)
        assert value is not None
        all_given[name] = value
        used[name] = _checked(declared, value, base, partial(_numbered, fetch, number))
    extra = tuple(name for name in texts if name not in entry.parameters)
    for name in extra:
        if not name or "\0" in name:
            raise BadProject("a parameter has a name")
        all_given[name] = used[name] = texts[name]
    return Values(all_given, used, extra)


def _numbered(fetch: Callable[[str, int], Path], number: int, uri: str) -> Path:
    return fetch(uri, number)


def _text(name: str, value: object) -> str:
    text = str(value)
    if "\0" in text:
        raise BadProject(f"the parameter {name} holds a NUL, which no command can take")
    return text


def _checked(declared: Parameter, value: str, base: Path, fetch: Callable[[str], Path]) -> str:
    wrong = f"the parameter {declared.name} is {_article(declared.type)}, and {value!r} is none"
    match declared.type:
        case "float" | "double" | "number":
            try:
                float(value)
            except ValueError:
                raise BadProject(wrong) from None
        case "int" | "integer":
            if _INTEGER.fullmatch(value.strip()) is None:
                raise BadProject(wrong)
        case "uri":
            if not urlsplit(value).scheme:
                raise BadProject(f"{wrong}: it has no scheme, such as https:// or file://")
        case "path":
            return _path(declared.name, value, base, fetch)
    return value


def _path(name: str, value: str, base: Path, fetch: Callable[[str], Path]) -> str:
    scheme = urlsplit(value).scheme
    if scheme and scheme != "file" and "/" in value and not (base / value).exists():
        return str(fetch(value))
    local = Path(url2pathname(urlsplit(value).path)) if scheme == "file" else base / Path(value).expanduser()
    if not local.exists():
        raise BadProject(f"the parameter {name} is a path, and there is no {local}")
    return str(local.resolve())


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeio" else f"a {kind}"


def command_of(entry: EntryPoint, values: Values) -> str:
    """The line for the shell. Raises BadProject for a name the command uses and nobody declared.

    A value is one word of the shell, or part of one, as it was given, whether the command has quotes around it or not.
    Where the command hands its text to another shell, values with characters that mean something there are refused.
    """
    again = _PARSED_AGAIN.search(entry.command) is not None
    parts: list[str] = []
    quote = ""
    position = 0
    for found in _NAME.finditer(entry.command):
        literal = entry.command[position : found.start()]
        position = found.end()
        quote = _quote_after(literal, quote)
        parts.append(literal)
        if found[3] is None:
            parts.append(found[1] or found[2])
            continue
        name = found[3].partition(":")[0].partition("!")[0].strip()
        if name not in values.used:
            raise BadProject(
                f"the command of the entry point {entry.name!r} uses {{{found[3]}}}, and there is no such parameter"
            )
        value = values.used[name]
        plain = _PLAIN.fullmatch(value) is not None
        if again and not plain:
            raise BadProject(
                f"the parameter {name} is {value!r}, and the command of the entry point {entry.name!r} hands it to"
                " another shell, which might run it; values there have only letters, digits and _@%+=:,./^~-"
            )
        if quote and plain:
            parts.append(value)
        else:
            parts.append(f"{quote}{shlex.quote(value)}{quote}")
    parts.append(entry.command[position:])
    for name in values.extra:
        parts.append(f" {shlex.quote('--' + name)} {shlex.quote(values.used[name])}")
    return "".join(parts)


def _quote_after(text: str, quote: str) -> str:
    """The quote that is open behind a piece of a command, when this one was open before it; empty for none."""
    position = 0
    while position < len(text):
        char = text[position]
        if char == "\\" and quote != "'":
            position += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        position += 1
    return quote
