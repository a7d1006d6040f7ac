"""Logs artifacts: files, text, dicts, figures, images, tables. A call pays for a local copy, never for the network."""

from __future__ import annotations

import io
import json
import logging
import os
import posixpath
import struct
import time
import uuid
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.ingest.limits import artifact_path_fault
from headrace.sdk.buffer import ARTIFACT
from headrace.sdk.fluent import current_run_id, experiment_of
from headrace.sdk.process import process
from headrace.sdk.transport import Artifact

logger = logging.getLogger("headrace")

_tables: dict[tuple[str, str], dict[str, list[Any]]] = {}


def log_artifact(
    local_path: str | os.PathLike[str], artifact_path: str | None = None, run_id: str | None = None
) -> None:
    """Log a local file (or a folder, with all in it), below the folder artifact_path of the run's artifacts.

    The file is copied on local disk before this returns, since the caller may change or delete it right after; it is
    sent in the background. A file that cannot be read is reported as an error in the log, and training goes on.
    """
    try:
        source = Path(os.fspath(local_path))
        if source.is_dir():
            log_artifacts(source, posixpath.join(artifact_path or "", source.resolve().name), run_id)
            return
        _copy(source, posixpath.join(artifact_path or "", source.name), current_run_id(run_id))
    except Exception as error:
        logger.error("the artifact %s was not logged: %s", local_path, error)


def log_artifacts(
    local_dir: str | os.PathLike[str], artifact_path: str | None = None, run_id: str | None = None
) -> None:
    """Log all files of a local folder, with its structure."""
    try:
        folder = Path(os.fspath(local_dir))
        if not folder.is_dir():
            logger.error("the artifacts of %s were not logged: there is no such folder", folder)
            return
        run_id = current_run_id(run_id)
        for source in sorted(path for path in folder.rglob("*") if path.is_file()):
            relative = source.relative_to(folder).as_posix()
            try:
                _copy(source, posixpath.join(artifact_path or "", relative), run_id)
            except Exception as error:  # one unreadable file must not keep the others out
                logger.error("the artifact %s was not logged: %s", source, error)
    except Exception as error:
        logger.error("the artifacts of %s were not logged: %s", local_dir, error)


def log_text(text: str, artifact_file: str, run_id: str | None = None) -> None:
    """Log text as a file."""
    try:
        _write(str(text).encode("utf-8", "replace"), artifact_file, current_run_id(run_id))
    except Exception as error:
        logger.error("the artifact %s was not logged: %s", artifact_file, error)


def log_dict(dictionary: Any, artifact_file: str, run_id: str | None = None) -> None:
    """Log a dict or list as a file: YAML for `.yml` and `.yaml`, else JSON."""
    try:
        text = _json(dictionary)
        if posixpath.splitext(artifact_file)[1].lower() in (".yml", ".yaml"):
            import yaml  # not when a trainer starts

            text = yaml.safe_dump(json.loads(text), sort_keys=False, allow_unicode=True)
        _write(text.encode(), artifact_file, current_run_id(run_id))
    except Exception as error:
        logger.error("the artifact %s was not logged: %s", artifact_file, error)


def log_figure(
    figure: Any, artifact_file: str, *, save_kwargs: Mapping[str, Any] | None = None, run_id: str | None = None
) -> None:
    """Log a matplotlib or Plotly figure; the suffix of artifact_file says in which format."""
    try:
        suffix = posixpath.splitext(artifact_file)[1].lower()
        options = dict(save_kwargs or {})
        if hasattr(figure, "savefig"):
            sink = io.BytesIO()
            figure.savefig(sink, **{"format": suffix.lstrip(".") or "png", **options})
            data = sink.getvalue()
        elif suffix == ".html" and hasattr(figure, "write_html"):
            data = figure.to_html(**{"include_plotlyjs": "cdn", "auto_open": False, **options}).encode()
        elif suffix == ".json" and hasattr(figure, "to_json"):
            data = figure.to_json(**options).encode()
        elif hasattr(figure, "to_image"):
            data = figure.to_image(format=suffix.lstrip("."), **options)
        else:
            raise TypeError(f"{type(figure).__name__} is no matplotlib or Plotly figure")
        _write(data, artifact_file, current_run_id(run_id))
    except Exception as error:
        logger.error("the figure %s was not logged: %s", artifact_file, error)


def log_image(
    image: Any,
    artifact_file: str | None = None,
    key: str | None = None,
    step: int | None = None,
    timestamp: int | None = None,
    synchronous: bool | None = None,
    run_id: str | None = None,
) -> None:
    """Log a PIL image or an array as a file, or, with key and step, as one of a series, named as MLflow names it.

    An array has the shape (height, width) or (height, width, 1, 3 or 4); integers are 0 to 255, floats 0 to 1.
    """
    try:
        if (artifact_file is None) == (key is None):
            raise ValueError("log_image takes artifact_file or key, one of both")
        if artifact_file is None:
            name = str(key).replace("/", "#")
            moment = timestamp if timestamp is not None else time.time_ns() // 1_000_000
            artifact_file = f"images/{name}%step%{step or 0}%timestamp%{moment}%{uuid.uuid4()}.png"
        if hasattr(image, "save") and hasattr(image, "size"):
            sink = io.BytesIO()
            suffix = posixpath.splitext(artifact_file)[1].lower()
            kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".gif": "GIF", ".bmp": "BMP"}.get(suffix, "PNG")
            image.save(sink, format=kind)
            data = sink.getvalue()
        else:
            data = png_of(image)
        _write(data, artifact_file, current_run_id(run_id))
    except Exception as error:
        logger.error("the image %s was not logged: %s", artifact_file or key, error)


def log_table(data: Any, artifact_file: str, run_id: str | None = None) -> None:
    """Log rows, as a dict of columns or a pandas DataFrame, in MLflow's JSON format for tables.

    Rows are added to a table this process has logged under the same name in the same run.
    """
    try:
        run_id = current_run_id(run_id)
        if hasattr(data, "to_dict") and hasattr(data, "columns"):
            columns = {str(name): data[name].tolist() for name in data.columns}
        else:
            columns = {
                str(name): list(values) if isinstance(values, list | tuple) or hasattr(values, "tolist") else [values]
                for name, values in dict(data).items()
            }
        lengths = {len(values) for values in columns.values()}
        if len(lengths) > 1:
            raise ValueError("its columns differ in length")
        count = lengths.pop() if lengths else 0
        table = _tables.setdefault((run_id, artifact_file), {})
        rows_before = len(next(iter(table.values()), []))
        for name in columns:
            table.setdefault(name, [None] * rows_before)
        for name, values in table.items():
            values.extend(columns.get(name, [None] * count))
        rows = [list(row) for row in zip(*table.values(), strict=True)]
        _write(_json({"columns": list(table), "data": rows}, indent=None).encode(), artifact_file, run_id)
    except Exception as error:
        logger.error("the table %s was not logged: %s", artifact_file, error)


def png_of(image: Any) -> bytes:
    """An array as a PNG file, without PIL. Raises ValueError for another shape, TypeError for what is no array."""
    import numpy as np  # comes with pandas; not needed to start a trainer

    array = np.asarray(image.numpy(force=True) if hasattr(image, "numpy") and hasattr(image, "device") else image)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise ValueError(f"an image has the shape (height, width[, 1, 3 or 4]), not {array.shape}")
    if array.dtype.kind == "f":
        array = np.nan_to_num(np.clip(array, 0.0, 1.0)) * 255.0 + 0.5
    elif array.dtype.kind == "b":
        array = array * 255
    elif array.dtype.kind not in "iu":
        raise TypeError(f"an array of {array.dtype} is no image")
    pixels = np.clip(array, 0, 255).astype(np.uint8)
    height, width, channels = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, width * channels)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )


def _json(value: Any, indent: int | None = 2) -> str:
    return json.dumps(value, indent=indent, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """What JSON does not know: arrays and scalars of numpy and the like as lists and numbers, the rest as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _checked(path: str) -> str:
    normal = posixpath.normpath(path) if path else path
    fault = artifact_path_fault(normal)
    if fault is not None:
        raise ValueError(f"{path!r} is no path for an artifact: {fault}")
    return normal


def _copy(source: Path, path: str, run_id: str) -> None:
    checked = _checked(path)
    _put(process.pipeline().stage.copy(source, run_id, experiment_of(run_id), checked))


def _write(data: bytes, path: str, run_id: str) -> None:
    write(data, path, run_id, experiment_of(run_id))


def write(data: bytes, path: str, run_id: str, experiment_id: str) -> None:
    """Log bytes as a file of any run. Raises ValueError for what is no path, OSError when the spool takes none."""
    checked = _checked(path)
    _put(process.pipeline().stage.write(data, run_id, experiment_id, checked))


def _put(artifact: Artifact) -> None:
    process.pipeline().buffer.put(artifact.run_id, ARTIFACT, 0, artifact)
