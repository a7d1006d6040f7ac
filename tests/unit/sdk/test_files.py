from __future__ import annotations

import hashlib
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import headrace
import numpy as np
import pandas as pd
import pytest
from headrace.ingest import events
from headrace.sdk.files import png_of


def artifacts(target: Any, run_id: str) -> dict[str, bytes]:
    [root] = (target.folder / "artifacts").glob(f"*/{run_id}/artifacts")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_file_is_stored_as_it_was_when_it_was_logged(target: Any, tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(b"first")
    with headrace.start_run() as run:
        headrace.log_artifact(file, "models")
        file.write_bytes(b"second")
        headrace.log_artifact(str(file))
        file.unlink()
    assert headrace.flush(10)
    assert artifacts(target, run.info.run_id) == {"models/model.bin": b"first", "model.bin": b"second"}
    logged = {event.path: event for _, event in target.events() if isinstance(event, events.ArtifactLogged)}
    assert logged["model.bin"].sha256 == hashlib.sha256(b"second").hexdigest()
    assert logged["model.bin"].size == 6


def test_folders_keep_their_structure(target: Any, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "a").write_text("a")
    (tmp_path / "in" / "deep" / "b").write_text("b")
    with headrace.start_run() as run:
        headrace.log_artifacts(tmp_path / "in", "out")
        headrace.log_artifact(tmp_path / "in")
    assert headrace.flush(10)
    assert sorted(artifacts(target, run.info.run_id)) == ["in/a", "in/deep/b", "out/a", "out/deep/b"]


@pytest.mark.parametrize("path", ["../up.txt", "/absolute.txt", "", "a\\b", "x" * 300])
def test_a_path_that_is_not_allowed_is_an_error_in_the_log_only(
    target: Any, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with headrace.start_run():
        headrace.log_text("x", path)
    assert headrace.flush(10)
    assert not any(isinstance(event, events.ArtifactLogged) for _, event in target.events())
    assert "was not logged" in caplog.text


def test_a_missing_file_is_an_error_in_the_log_only(target: Any, caplog: pytest.LogCaptureFixture) -> None:
    with headrace.start_run():
        headrace.log_artifact("/no/such/file")
        headrace.log_artifacts("/no/such/folder")
        headrace.log_figure(object(), "f.png")
        headrace.log_image("no image", "i.png")
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 4


def test_dicts_tables_and_images_have_mlflows_formats(target: Any) -> None:
    with headrace.start_run() as run:
        headrace.log_dict({"a": np.float32(1.5), "ü": [1]}, "d.json")
        headrace.log_dict({"a": 1}, "d.yaml")
        headrace.log_table({"q": ["x", "y"], "n": [1, 2]}, "t.json")
        headrace.log_table(pd.DataFrame({"n": [3], "extra": [True]}), "t.json")
        headrace.log_image(np.zeros((2, 3, 3)), "i.png")
        headrace.log_image(np.zeros((2, 3)), key="k", step=7)
    assert headrace.flush(10)
    files = artifacts(target, run.info.run_id)
    assert json.loads(files["d.json"]) == {"a": 1.5, "ü": [1]}
    assert files["d.yaml"] in (b"a: 1\n", b'{\n  "a": 1\n}')
    assert json.loads(files["t.json"]) == {
        "columns": ["q", "n", "extra"],
        "data": [["x", 1, None], ["y", 2, None], [None, 3, True]],
    }
    assert files["i.png"].startswith(b"\x89PNG")
    assert any(path.startswith("images/k%step%7%timestamp%") for path in files)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_png_holds_the_pixels(channels: int) -> None:
    pixels = np.arange(2 * 3 * channels, dtype=np.uint8).reshape(2, 3, channels)
    data = png_of(pixels)
    length = struct.unpack(">I", data[33:37])[0]
    rows = zlib.decompress(data[41 : 41 + length])
    assert struct.unpack(">II", data[16:24]) == (3, 2)
    assert rows == b"\0" + pixels[0].tobytes() + b"\0" + pixels[1].tobytes()
