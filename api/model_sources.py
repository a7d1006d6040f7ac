"""What a version is made from: a source's URI checked, and where the files behind it lie.

A version says which run or logged model its files are of. A source that names files of this server, or of a local
folder, must lie in what that run or logged model owns: otherwise whoever may register could read what they may not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from headrace.api.artifacts import SCHEME
from headrace.api.errors import ApiError, invalid, missing
from headrace.api.services import Services
from headrace.ingest import model_events as m
from headrace.ingest.model_names import LATEST
from headrace.processors.registered_models import ModelVersion, RegisteredModel, Stages
from headrace.processors.registry import Registry
from headrace.processors.runs import RunState

SOURCE_CHARS_MAX = 2_000
PROMPT_SOURCES = ("dummy-source", "prompt-template")
HOSTS = ("ftp", "sftp", "hdfs", "viewfs", "http", "https", "r2", "b2", "abfss")
"""Schemes of URIs that name a host, which who loads the model would connect to: refused, as MLflow's server does."""
_ROUTE = ("api", "2.0", "mlflow-artifacts", "artifacts")
_CODE = ("mlflow.source.", "mlflow.project.", "mlflow.gitRepoURL")


class Source(NamedTuple):
    """A source that was checked. location: where its files lie. datasets, code: of the run, as far as it is known."""

    uri: str
    location: str
    run_id: str
    model_id: str
    datasets: list[m.DatasetUsed]
    code: dict[str, str]


async def checked(s: Services, uri: str, run_id: str | None, model_id: str | None) -> Source:
    """A source that a client names, with the run and logged model it is of where the URI tells.

    run_id, model_id: as the client gave them; None where it gave none. Raises INVALID_PARAMETER_VALUE,
    RESOURCE_DOES_NOT_EXIST.
    """
    if len(uri) > SOURCE_CHARS_MAX:
        raise invalid(f"'source' exceeds the maximum length of {SOURCE_CHARS_MAX} characters")
    scheme, authority, parts = _parts(uri)
    if any(part == ".." or "\0" in part for part in parts):
        raise invalid(
            f"Invalid model version source: '{uri}'. If supplying a source as an http, https, local file path, ftp,"
            " objectstore, or mlflow-artifacts uri, an absolute path must be provided without relative path references"
            " present. Please provide an absolute path."
        )
    if scheme in ("models", "runs") and authority:
        raise _outside(uri, "model_id" if scheme == "models" else "run_id")
    if scheme == "models":
        return await _of_models(s, uri, parts, run_id, model_id)
    if scheme == "runs":
        return await _of_run(s, uri, parts, run_id or "", model_id)
    if scheme in HOSTS and not _is_our_route(scheme, parts):
        raise invalid(
            f"'source' cannot use the '{scheme}' scheme: it addresses a host other than this server's artifact storage,"
            " to which whatever loads the model would connect. Log the model to this server, or to s3://, gs://, wasbs://"
        )
    local = scheme in ("", "file")
    if local or scheme == "mlflow-artifacts" or _is_our_route(scheme, parts):
        root = await _root(s, uri, run_id or "", model_id or "")
        if not _within((scheme or "file", authority, parts), root):
            what = "model" if model_id else "run"
            raise (
                invalid(
                    f"Invalid model version source: '{uri}'. To use a local path as a model version source, the"
                    f" {what}_id request parameter has to be specified and the local path has to be contained within"
                    f" the artifact directory of the run specified by the {what}_id."
                )
                if local
                else _outside(uri, f"{what}_id")
            )
    return await _with_lineage(s, uri, uri, run_id or "", model_id or "")


def location_of(registry: Registry, version: ModelVersion) -> str:
    """Where the files of a version lie: one that a trainer made names a logged model, which says it."""
    scheme, _, parts = _parts(version.storage_location)
    model = registry.logged_models.get(parts[0]) if scheme == "models" and len(parts) == 1 else None
    return version.storage_location if model is None else model.artifact_uri


def version_of(model: RegisteredModel, stages: Stages, asked: str) -> ModelVersion | None:
    """The version that `models:/<name>/<asked>` names: a number, `latest`, or the highest of a stage."""
    if asked.isdecimal() and len(asked) < 19:
        return model.version(int(asked))
    if asked.lower() == LATEST:
        return model.latest()
    return model.latest_versions().get(stages.canonical(asked) or "")


# --- by scheme --------------------------------------------------------------------------------------------------------


async def _of_models(
    s: Services, uri: str, parts: tuple[str, ...], run_id: str | None, model_id: str | None
) -> Source:  # fmt: skip
    registry = await s.past.registry("")
    if len(parts) == 1 and "@" not in parts[0]:
        named = parts[0]
        if not named.startswith("m-") or (model_id and named != model_id):
            raise _outside(uri, "model_id")
        model = registry.logged_models.get(named)
        if model is None:
            raise missing(
                f"Unable to fetch model from model URI source artifact location '{uri}'. Error: Logged model with ID"
                f" '{named}' not found."
            )
        return await _with_lineage(s, uri, model.artifact_uri, run_id or model.source_run_id, named)
    held, version = registered(registry, uri, parts)
    if (run_id is not None and run_id != version.run_id) or (model_id is not None and model_id != version.model_id):
        raise invalid(
            f"Invalid model version source: '{uri}'. The run_id and model_id request parameters must match the"
            " referenced model version."
        )
    location = location_of(registry, version)
    named = f"models:/{held.name}/{version.version}"
    return Source(named, location, version.run_id, version.model_id, version.datasets, version.code)


def registered(registry: Registry, uri: str, parts: tuple[str, ...]) -> tuple[RegisteredModel, ModelVersion]:
    """The version that a models:/ URI names. Raises INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST."""
    name, at, alias = parts[0].rpartition("@") if len(parts) == 1 else (parts[0] if parts else "", "", "")
    if not name or len(parts) > 2 or (len(parts) == 1 and not at):
        raise invalid(
            f"Invalid model version source: '{uri}'. A models:/ URI is models:/name/version, models:/name/stage,"
            " models:/name@alias or models:/m-<id>"
        )
    model = registry.models.by_name.get(name)
    if model is None:
        raise missing(f"Registered Model with name={name} not found")
    stages = registry.models.stages
    version = model.version(model.aliases.get(alias, 0)) if at else version_of(model, stages, parts[1])
    if version is None:
        raise missing(f"Model Version (name={name}, version={alias or parts[-1]}) not found")
    return model, version


async def _of_run(s: Services, uri: str, parts: tuple[str, ...], run_id: str, model_id: str | None) -> Source:
    if not parts or (run_id and parts[0] != run_id) or model_id:
        raise _outside(uri, "model_id" if model_id else "run_id")
    run = await _run(s, parts[0])
    if run is None:
        # Of another tracking server, as far as anybody here knows: taken as MLflow takes it, where its caller says so.
        if not run_id:
            raise _outside(uri, "run_id")
        return Source(uri, uri, run_id, "", [], {})
    below = "/".join(parts[1:])
    return await _with_lineage(s, uri, f"{run.artifact_uri.rstrip('/')}/{below}".rstrip("/"), parts[0], "")


async def _root(s: Services, uri: str, run_id: str, model_id: str) -> tuple[str, str, tuple[str, ...]] | None:
    """The parts of the URI below which what a run or logged model owns lies; None where there is no such thing."""
    if model_id:
        model = (await s.past.registry("")).logged_models.get(model_id)
        return None if model is None else _parts(model.artifact_uri)
    run = await _run(s, run_id) if run_id else None
    return None if run is None else _parts(run.artifact_uri)


async def _with_lineage(s: Services, uri: str, location: str, run_id: str, model_id: str) -> Source:
    """A source with what its run knows of data and code; a run of another server is known by its id alone."""
    if model_id and not run_id:
        model = (await s.past.registry("")).logged_models.get(model_id)
        run_id = "" if model is None else model.source_run_id
    run = await _run(s, run_id) if run_id else None
    if run is None:
        return Source(uri, location, run_id, model_id, [], {})
    return Source(uri, location, run_id, model_id, datasets_of(run), code_of(run.tags))


def datasets_of(run: RunState) -> list[m.DatasetUsed]:
    """The data sets a run read, as a version remembers them."""
    return [
        m.DatasetUsed(
            one.dataset.name,
            one.dataset.digest,
            one.dataset.source_type,
            one.dataset.source,
            one.tags.get("mlflow.data.context", ""),
        )
        for one in run.inputs.datasets
    ]


def code_of(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags of a run that say of which code it is."""
    return {key: value for key, value in tags.items() if key.startswith(_CODE)}


async def _run(s: Services, run_id: str) -> RunState | None:
    try:
        return await s.tracking.run(run_id)
    except ApiError as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


# --- URIs -------------------------------------------------------------------------------------------------------------


def _parts(uri: str) -> tuple[str, str, tuple[str, ...]]:
    """Scheme, authority and the parts of the path, unquoted until nothing is quoted any more."""
    try:
        split = urlsplit(uri)
    except ValueError as error:
        raise invalid(f"Invalid model version source: '{uri}'. {error}") from None
    whole = split.path + (f"?{split.query}" if split.query else "") + (f"#{split.fragment}" if split.fragment else "")
    while (unquoted := unquote(whole)) != whole:
        whole = unquoted
    return split.scheme.lower(), split.netloc.lower(), tuple(p for p in whole.replace("\\", "/").split("/") if p)


def _within(inner: tuple[str, str, tuple[str, ...]], outer: tuple[str, str, tuple[str, ...]] | None) -> bool:
    if outer is None:
        return False
    scheme, authority, parts = outer
    same = (inner[0], inner[1]) == (scheme or "file", authority)
    return same and bool(parts) and inner[2][: len(parts)] == parts


def _is_our_route(scheme: str, parts: tuple[str, ...]) -> bool:
    """Whether a URL is of the proxy that a tracking server gives its artifacts through."""
    return scheme in ("http", "https") and any(
        parts[at : at + len(_ROUTE)] == _ROUTE for at in range(len(parts) - len(_ROUTE) + 1)
    )


def _outside(uri: str, name: str) -> ApiError:
    return invalid(
        f"Invalid model version source: '{uri}'. The {name} request parameter must identify the resource that contains"
        " the source."
    )


def is_owned(location: str, owner: str) -> bool:
    """Whether a location lies at or below the artifact URI of a run or logged model."""
    inner = _parts(location)
    return ".." not in inner[2] and _within(inner, _parts(owner))


def versions_below(registry: Registry) -> Callable[[str], str]:
    """Tells of an artifact URI which versions, as text, have their files at or below it; empty for none."""
    held = [
        (location_of(registry, version).rstrip("/") + "/", f"version {version.version} of {model.name}")
        for model in list(registry.models.by_name.values())
        for version in model.live_versions()
    ]

    def below(uri: str) -> str:
        root = uri.rstrip("/") + "/"
        return ", ".join([name for location, name in held if location.startswith(root)][:5])

    return below


def is_kept_here(location: str) -> bool:
    """Whether files lie in this server's store."""
    return location.startswith(SCHEME)
