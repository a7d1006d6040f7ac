"""Models are brought from an object store as from a disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import headrace
import pytest
from headrace.models import NoModel
from headrace.sdk.models import fetching

obstore = pytest.importorskip("obstore")


def test_a_model_in_a_bucket_loads_by_its_s3_uri(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    s3.bucket("models-of-a-test")
    headrace.pyfunc.save_model(
        tmp_path / "model", lambda rows: [one + 1 for one in rows], code_paths=[str(Path(__file__))]
    )
    store = obstore.store.from_url("s3://models-of-a-test")
    for file in (tmp_path / "model").rglob("*"):
        if file.is_file():
            obstore.put(store, f"deep/er/{file.relative_to(tmp_path / 'model').as_posix()}", file.read_bytes())

    assert headrace.pyfunc.load_model("s3://models-of-a-test/deep/er").predict([1, 2]) == [2, 3]
    with pytest.raises(NoModel, match="there are no files at"):
        headrace.pyfunc.load_model("s3://models-of-a-test/nothing")
    with pytest.raises(NoModel, match="cannot be read"):
        fetching.fetch("s3://no-such-bucket-of-a-test/x", tmp_path / "x", None)
