"""Models by URI: finds what it names, brings it to this machine, loads it.

    ./folder  /folder  file:///folder      a folder on this machine, as it is
    runs:/<run id>/<name>                  a model the run logged by that name, the latest of several; or a folder of
                                           the run's artifacts, as older clients log them
    models:/m-<32 hex>                     a logged model
    models:/<name>/<version>               a version of a registered model; also `…/latest`, `…/<stage>`, `…@<alias>`
    mlflow-artifacts:/…  http(s)://…/api/2.0/mlflow-artifacts/artifacts/…  s3://…  gs://…  az://…

What is downloaded is kept (see `sdk/models/cache.py`); its digest is checked where one was registered.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from headrace.sdk import reader
from headrace.sdk.models import fetching, loading, pyfunc
from headrace.sdk.models.cache import Cache, check
from headrace.sdk.models.logged import ModelInfo
from headrace.sdk.models.mlmodel import Metadata, NoModel
from headrace.sdk.models.pyfunc import PyFuncModel
from headrace.sdk.process import process
from headrace.sdk.reader import FLUSH_TIMEOUT_S, Reader, ReadFailed
from headrace.sdk.transport import is_http

_LOGGED = re.compile(r"m-[0-9a-f]{32}")
_REGISTERED = re.compile(r"models:/(?P<name>[^/@]+)(?:/(?P<version>[^/@]+)|@(?P<alias>[^/@]+))")


@dataclass(frozen=True)
class Found:
    """What a URI names: files at an artifact URI, or below a path of a run's artifacts.

    digest: of the files as registered, or empty. key: the name of its folder in the cache, or empty for files that
    may change. name: for people.
    """

    name: str
    artifact_uri: str
    run_id: str = ""
    path: str = ""
    digest: str = ""
    key: str = ""
    registered_name: str = ""
    registered_version: int | None = None


def local_folder(model_uri: str | os.PathLike[str]) -> Path:
    """A folder on this machine that holds the model; it is only to be read. Raises NoModel, WrongDigest, ReadFailed."""
    return _folder_of(model_uri)[0]


def load_model(model_uri: str | os.PathLike[str], flavor: str | None = None, **options: Any) -> Any:
    """The native model. flavor: which of the model's, its own when not given; options: that flavor's own.

    Raises NoModel, MissingPackage.
    """
    return loading.load_native(local_folder(model_uri), flavor, **options)


def load_pyfunc(
    model_uri: str | os.PathLike[str],
    model_config: Mapping[str, Any] | None = None,
    *,
    strict_mlflow_compat: bool = False,
) -> PyFuncModel:
    """The model behind pyfunc's face. strict_mlflow_compat: refuse all data that MLflow refuses.

    Raises NoModel, MissingPackage.
    """
    return pyfunc.load_folder(local_folder(model_uri), model_config, strict=strict_mlflow_compat)


def get_model_info(model_uri: str | os.PathLike[str]) -> ModelInfo:
    """What is known of a model, which is not loaded. Raises NoModel."""
    folder, found = _folder_of(model_uri)
    described = Metadata.read(folder)
    uri = os.fspath(model_uri)
    return ModelInfo(
        uri,
        described.model_id,
        described.run_id,
        found.name if found else folder.name,
        described.artifact_path or str(folder),
        described,
        digest=found.digest if found else "",
        registered_model_name=(found.registered_name or None) if found else None,
        registered_model_version=found.registered_version if found else None,
    )


def _folder_of(model_uri: str | os.PathLike[str]) -> tuple[Path, Found | None]:
    uri = os.fspath(model_uri)
    parts = urlsplit(uri)
    if isinstance(model_uri, os.PathLike) or len(parts.scheme) < 2:
        return Path(uri), None
    if parts.scheme == "file":
        return Path(unquote(parts.path)), None
    found = resolve(uri)
    here = _on_this_disk(found.artifact_uri)
    if here is not None:
        if found.digest:
            check(here, found.digest, found.name)
        return here, found
    settings = process.settings()
    download = _downloading(found)
    if not found.key:
        folder = Path(tempfile.mkdtemp(prefix="headrace-model-"))
        download(folder)
        return folder, found
    cache = Cache(Path(settings.model_cache_dir), settings.model_cache_bytes_max)
    return cache.get(found.key, found.digest, download, found.name), found


def _downloading(found: Found) -> Callable[[Path], None]:
    if found.run_id:
        return lambda target: fetching.of_run(reader.reader(), found.run_id, found.path, target)
    needs_server = found.artifact_uri.startswith("mlflow-artifacts:")
    return lambda target: fetching.fetch(found.artifact_uri, target, reader.reader() if needs_server else None)


def _on_this_disk(artifact_uri: str) -> Path | None:
    """The folder, where the artifacts are kept in one that can be read from here."""
    settings = process.settings()
    if artifact_uri.startswith("file://"):
        return Path(unquote(urlsplit(artifact_uri).path))
    if artifact_uri.startswith("mlflow-artifacts:/") and not artifact_uri.startswith("mlflow-artifacts://"):
        uri = settings.tracking_uri
        if not is_http(uri) and "://" not in uri:
            below = artifact_uri.removeprefix("mlflow-artifacts:/")
            folder = Path(uri) / "artifacts" / below
            if folder.is_dir() and ".." not in Path(below).parts:
                return folder
    return None


def resolve(uri: str) -> Found:
    """What a URI with a scheme names. Raises NoModel, ReadFailed."""
    parts = urlsplit(uri)
    if parts.scheme == "runs":
        return _of_run(uri)
    if parts.scheme == "models":
        model_id = uri.removeprefix("models:/").strip("/")
        if _LOGGED.fullmatch(model_id):
            return _logged(model_id)
        return _registered(uri)
    return Found(uri, uri)


def _logged(model_id: str) -> Found:
    """A logged model; one of a folder of ours is found without a server."""
    settings = process.settings()
    if not is_http(settings.tracking_uri) and "://" not in settings.tracking_uri:
        process.flush(FLUSH_TIMEOUT_S)
        for folder in Path(settings.tracking_uri).glob(f"artifacts/*/models/{model_id}/artifacts"):
            return Found(model_id, f"file://{folder}", key=model_id)
    return _of_logged(reader.reader(), model_id)


def _of_logged(server: Reader, model_id: str) -> Found:
    answer = server.call("GET", f"/api/2.0/mlflow/logged-models/{model_id}")["model"]
    info = answer["info"]
    if info.get("status") not in ("LOGGED_MODEL_READY", 2, "2"):
        raise NoModel(f"the model {model_id} is not complete: its files are on their way, or did not arrive")
    tags = {one["key"]: one.get("value", "") for one in info.get("tags", ())}
    return Found(
        info.get("name") or model_id, info["artifact_uri"], digest=tags.get("headrace.digest", ""), key=model_id
    )


def _of_run(uri: str) -> Found:
    run_id, _, path = uri.removeprefix("runs:").strip("/").partition("/")
    if not run_id or not path:
        raise NoModel(f"{uri} is no URI of a run's model; it has the form runs:/<run id>/<name>")
    server = reader.reader()
    run = server.call("GET", "/api/2.0/mlflow/runs/get", params={"run_id": run_id})["run"]
    outputs = run.get("outputs", {}).get("model_outputs", ())
    for one in reversed(list(outputs)):
        try:
            found = server.call("GET", f"/api/2.0/mlflow/logged-models/{one['model_id']}")["model"]["info"]
        except ReadFailed as error:
            if error.status == 404:  # it was deleted
                continue
            raise
        if found.get("name") == path:
            return _of_logged(server, one["model_id"])
    return Found(uri, "", run_id=run_id, path=path)


def _registered(uri: str) -> Found:
    asked = _REGISTERED.fullmatch(uri)
    if asked is None:
        raise NoModel(
            f"{uri} is no URI of a model; it has the form models:/<name>/<version>, models:/<name>@<alias>,"
            " models:/<name>/latest, models:/<name>/<stage> or models:/m-<id>"
        )
    server = reader.reader()
    name, version = unquote(asked["name"]), asked["version"]
    if asked["alias"]:
        params = {"name": name, "alias": unquote(asked["alias"])}
        found = server.call("GET", "/api/2.0/mlflow/registered-models/alias", params=params)["model_version"]
    elif version.isdecimal():
        params = {"name": name, "version": version}
        found = server.call("GET", "/api/2.0/mlflow/model-versions/get", params=params)["model_version"]
    else:
        found = _latest(server, name, unquote(version))
    return _of_version(server, found)


def _latest(server: Reader, name: str, stage: str) -> dict[str, Any]:
    """The latest version of all, or of a stage. Raises NoModel."""
    body: dict[str, Any] = {"name": name} | ({} if stage.lower() == "latest" else {"stages": [stage]})
    answer = server.call("POST", "/api/2.0/mlflow/registered-models/get-latest-versions", json=body)
    versions: list[dict[str, Any]] = answer.get("model_versions", [])
    if not versions:
        raise NoModel(f"the registered model {name} has no version{'' if 'stages' not in body else f' in {stage}'}")
    return max(versions, key=lambda one: int(one["version"]))


def _of_version(server: Reader, version: Mapping[str, Any]) -> Found:
    name, number = str(version["name"]), int(version["version"])
    called = f"version {number} of {name}"
    if version.get("status", "READY") != "READY":
        raise NoModel(
            f"{called} is {version['status']}: {version.get('status_message') or 'its files are on their way'}"
        )
    digest = str((version.get("headrace") or {}).get("digest") or "")
    params = {"name": name, "version": str(number)}
    where = server.call("GET", "/api/2.0/mlflow/model-versions/get-download-uri", params=params)["artifact_uri"]
    found = resolve(where) if where.startswith(("models:", "runs:")) else Found(called, where)
    key = digest or found.key
    return Found(called, found.artifact_uri, found.run_id, found.path, digest or found.digest, key, name, number)
