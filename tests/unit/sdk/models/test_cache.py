"""Downloaded models: kept by name, checked by digest, given up when there are too many."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from headrace.models import WrongDigest
from headrace.sdk.models.cache import KEPT_S, Cache, digest_of_folder


def put(size: int = 10) -> Callable[[Path], None]:
    def download(folder: Path) -> None:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_bytes(b"x" * size)

    return download


def never(folder: Path) -> None:
    raise AssertionError("it is there already")


def test_what_is_there_is_not_brought_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 1000)
    folder = cache.get("a", "", put(), "a")
    assert (folder / "sub" / "file").read_bytes() == b"x" * 10
    assert cache.get("a", "", never, "a") == folder


def test_a_wrong_digest_leaves_nothing_behind(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 1000)
    with pytest.raises(WrongDigest, match="the files of the model have the digest"):
        cache.get("a", "0" * 64, put(), "the model")
    assert list((tmp_path / "cache").iterdir()) == []
    right = digest_of_folder(cache.get("b", "", put(), "b"))
    assert cache.get("a", right, put(), "the model").name == "a"


def test_a_download_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_bytes(b"x")
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        Cache(tmp_path / "cache", 1000).get("a", "", fail, "a")
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_least_recently_used_are_given_up_but_not_what_may_be_in_use(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 250)
    old = time.time() - 2 * KEPT_S
    for name, age_s in (("older", 10.0), ("old", 0.0)):
        folder = cache.get(name, "", put(100), name)
        os.utime(folder, (old - age_s, old - age_s))
    cache.get("new", "", put(100), "new")
    assert sorted(one.name for one in (tmp_path / "cache").iterdir()) == ["new", "old"]
    cache.get("newer", "", put(200), "newer")
    assert sorted(one.name for one in (tmp_path / "cache").iterdir()) == ["new", "newer"]
