"""Which store a setting names, and whether clients are sent to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from headrace.api.stores.local import LocalStore
from headrace.api.stores.opening import open_store
from headrace.api.stores.store import StoreUnavailable

KEY = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}


def test_nothing_said_is_the_folder_below_the_data(tmp_path: Path) -> None:
    store = open_store("", tmp_path)
    assert isinstance(store, LocalStore)
    assert store.name == str(tmp_path / "artifacts")


def test_a_file_url_is_another_folder(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/else%20where", Path("/nowhere"))
    assert store.name == str(tmp_path / "else where")


@pytest.mark.parametrize(
    ("options", "environ", "direct"),
    [
        ("", {}, True),
        ("?direct=no", {}, False),
        ("?endpoint=http://minio:9000", {}, False),
        ("", {"AWS_ENDPOINT_URL": "http://minio:9000"}, False),
        ("?endpoint=http://minio:9000&direct=yes", {}, True),
        ("?endpoint=http://minio:9000&public_endpoint=https://files.example.com", {}, True),
    ],
)
def test_clients_are_sent_to_s3_where_they_can_surely_reach_it(
    options: str, environ: dict[str, str], direct: bool
) -> None:
    store = open_store(f"s3://bucket/a/b{options}", Path("/nowhere"), KEY | environ)
    assert (store.name, store.direct, store.multipart) == ("s3://bucket/a/b", direct, True)


def test_without_a_key_clients_send_files_whole() -> None:
    assert not open_store("s3://bucket", Path("/nowhere"), {}).multipart


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("bucket/prefix", "it has to be s3://"),
        ("s3://", "it names no bucket"),
        ("az:///x", "it names no container"),
        ("s3://bucket?direct=maybe", "direct is yes or no"),
        ("gs://bucket?endpoint=http://x", "it has no option 'endpoint'; known are direct"),
        ("file://host/folder", "a folder of this machine is file:///folder"),
    ],
)
def test_a_url_that_names_no_store_is_refused_with_the_reason(url: str, said: str) -> None:
    with pytest.raises(StoreUnavailable, match="HEADRACE_ARTIFACTS") as refused:
        open_store(url, Path("/nowhere"), {})
    assert said in str(refused.value)
