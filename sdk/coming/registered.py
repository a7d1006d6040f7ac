"""Registered models of a source, as MLflow keeps them: in tables, in folders, or in the JSON of its server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from headrace.sdk.coming.local_files import read_small, texts_below
from headrace.sdk.coming.source import (
    Left,
    SourceFault,
    SourceRegistered,
    SourceVersion,
    integer,
    text_of,
)

DELETED = "Deleted_Internal"
"""The stage in which MLflow keeps what is left of a deleted version."""
_PROMPT = "mlflow.prompt.is_prompt"
_FOLDER = re.compile(r"version-([1-9]\d{0,17})")
_NUMBER_MAX = 1_000_000


def of_json(model: Mapping[str, Any], versions: Iterable[Mapping[str, Any]]) -> SourceRegistered:
    """A registered model of MLflow's JSON, which its rows and meta files are like. Raises SourceFault."""
    try:
        name = text_of(model["name"])
        return SourceRegistered(
            name,
            text_of(model.get("description") or ""),
            integer(model.get("creation_timestamp"), f"the creation of {name}"),
            integer(model.get("last_updated_timestamp"), f"the last change of {name}"),
            _texts(model.get("tags") or ()),
            {text_of(x["alias"]): _number(x["version"], name) for x in model.get("aliases") or ()},
            tuple(sorted((_version(one, name) for one in versions), key=lambda one: one.version)),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise SourceFault(f"a registered model is not as MLflow has it: {type(error).__name__}: {error}") from error


def _version(given: Mapping[str, Any], name: str) -> SourceVersion:
    number = _number(given["version"], name)
    source = text_of(given.get("source") or "")
    _, is_model, model_id = source.partition("models:/m-")
    return SourceVersion(
        number,
        integer(given.get("creation_timestamp"), f"the creation of {name} {number}"),
        integer(given.get("last_updated_timestamp"), f"the last change of {name} {number}"),
        text_of(given.get("user_id") or ""),
        text_of(given.get("current_stage") or "None"),
        text_of(given.get("description") or ""),
        source,
        text_of(given.get("storage_location") or ""),
        text_of(given.get("run_id") or ""),
        text_of(given.get("run_link") or ""),
        text_of(given.get("model_id") or (f"m-{model_id}" if is_model else "")),
        text_of(given.get("status") or "READY"),
        text_of(given.get("status_message") or ""),
        _texts(given.get("tags") or ()),
    )


def _number(given: Any, name: str) -> int:
    number = integer(given, f"a version of {name}")
    if not 1 <= number <= _NUMBER_MAX:
        raise SourceFault(f"a version of {name} has the number {number}")
    return number


def _texts(given: Any) -> dict[str, str]:
    return {text_of(one["key"]): text_of(one.get("value") or "") for one in given}


def in_tables(
    rows: Callable[..., Iterator[Any]], tables: Iterable[str], left: list[Left]
) -> Iterator[SourceRegistered]:
    """Those of an MLflow database. rows: takes SQL and parameters. left: gets what is not carried over.

    Raises SourceFault.
    """
    there = set(tables)
    if not {"registered_models", "model_versions"} <= there:
        return

    def pairs(table: str, *where: Any) -> list[dict[str, Any]]:
        if table not in there:
            return []
        columns = ("name", "version")[: len(where)]
        sql = f"SELECT * FROM {table} WHERE {' AND '.join(f'{column} = ?' for column in columns)}"
        return [dict(row) for row in rows(sql, *where)]

    for model in [_timed(row) for row in rows("SELECT * FROM registered_models ORDER BY name")]:
        name = model["name"]
        versions = []
        for version in [_timed(row) for row in rows("SELECT * FROM model_versions WHERE name = ?", name)]:
            version["tags"] = pairs("model_version_tags", name, version["version"])
            versions.append(version)
        model["tags"] = pairs("registered_model_tags", name)
        model["aliases"] = pairs("registered_model_aliases", name)
        yield from shown(of_json(model, versions), left)


def _timed(row: Any) -> dict[str, Any]:
    """A row with the names of JSON. MLflow has two names of the last change, and had no creation of either once."""
    found = dict(row)
    found["creation_timestamp"] = found.get("creation_time")
    found["last_updated_timestamp"] = found.get("last_updated_time")
    return found


def in_folders(root: Path, read: Callable[[Path], dict[str, Any]], left: list[Left]) -> Iterator[SourceRegistered]:
    """Those of the folder `models` of an `mlruns` folder. read: a mapping in a YAML file. Raises SourceFault."""
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if not (folder / "meta.yaml").is_file():
            continue
        model = read(folder / "meta.yaml")
        model["tags"] = _keyed(texts_below(folder / "tags"))
        aliases = folder / "aliases"
        model["aliases"] = [
            {"alias": one.name, "version": read_small(one).strip()}
            for one in (sorted(aliases.iterdir()) if aliases.is_dir() else ())
            if one.is_file()
        ]
        versions = []
        for one in folder.iterdir():
            if _FOLDER.fullmatch(one.name) and (one / "meta.yaml").is_file():
                versions.append({**read(one / "meta.yaml"), "tags": _keyed(texts_below(one / "tags"))})
        yield from shown(of_json(model, versions), left)


def _keyed(given: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in given.items()]


def shown(model: SourceRegistered, left: list[Left]) -> Iterator[SourceRegistered]:
    """The model, unless it is a prompt, which MLflow keeps among its models."""
    if model.tags.get(_PROMPT) == "true":
        left.append(Left("", f"prompt {model.name}", "prompts are not carried over"))
    else:
        yield model
