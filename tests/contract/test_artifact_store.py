"""What every artifact store promises, on each store there is."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from headrace.api.errors import HANDLERS, ApiError
from headrace.api.stores.opening import open_store
from headrace.api.stores.store import ArtifactStore, Entry, Part, Stored

LARGE = os.urandom(20 * 1024 * 1024 + 12_345)
"""More than two blocks, and not a whole number of them."""
PART = 5 * 1024 * 1024
"""The least that S3 takes for a part that others follow."""


class Gone(Exception):
    """The client left."""


async def chunks(data: bytes, size: int = 100_000, then: Exception | None = None) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]
    if then is not None:
        raise then


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def write(store: ArtifactStore, path: str, data: bytes, sha256: str = "") -> Stored:
    stored: Stored = run(store.write(path, chunks(data), sha256, len(data)))
    return stored


def get(store: ArtifactStore, path: str, **headers: str) -> httpx.Response:
    """A download as a client sees it."""
    app = FastAPI()
    app.add_exception_handler(ApiError, HANDLERS[ApiError])

    @app.get("/{path:path}")
    async def download(request: Request, path: str) -> Response:
        return await store.response(path, request.headers)

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.get(f"/{quote(path)}", headers=headers)

    answer: httpx.Response = run(ask())
    return answer


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    return made(request.param, request, tmp_path)


@pytest.fixture(params=["local", "s3"])
def parted(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    """A store that takes multipart uploads."""
    return made(request.param, request, tmp_path)


def made(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    if kind == "local":
        return open_store("", tmp_path)
    if kind == "memory":
        objects = pytest.importorskip("headrace.api.stores.objects")
        memory = pytest.importorskip("obstore.store").MemoryStore()
        store: ArtifactStore = objects.ObjectStore("memory", memory)
        return store
    s3 = request.getfixturevalue("s3")
    bucket = s3.bucket(f"b-{os.urandom(6).hex()}")
    return open_store(f"s3://{bucket}/some/prefix?endpoint={s3.url}&direct=yes", tmp_path, s3.environ)


async def read(store: ArtifactStore, path: str) -> bytes:
    return b"".join([block async for block in store.read(path)])


@pytest.mark.parametrize("data", [b"", b"hello", LARGE], ids=["empty", "small", "large"])
def test_the_server_itself_reads_a_file_block_by_block(store: ArtifactStore, data: bytes) -> None:
    write(store, "models/m/data/a.bin", data)
    assert run(read(store, "models/m/data/a.bin")) == data
    with pytest.raises(ApiError, match="No such artifact") as raised:
        run(read(store, "models/m/data/b.bin"))
    assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"


@pytest.mark.parametrize("data", [b"", b"hello", LARGE], ids=["empty", "small", "large"])
def test_a_file_reads_back_as_it_was_written(store: ArtifactStore, data: bytes) -> None:
    store.check()
    assert write(store, "0/run/artifacts/a.bin", data) == Stored(len(data), hashlib.sha256(data).hexdigest())
    answer = get(store, "0/run/artifacts/a.bin")
    assert answer.status_code == 200
    assert answer.content == data
    assert answer.headers["content-length"] == str(len(data))


def test_a_download_is_nothing_that_a_browser_runs_in_our_origin(store: ArtifactStore) -> None:
    write(store, "a/page ü.html", b"<script>alert(1)</script>")
    headers = get(store, "a/page ü.html").headers
    assert headers["content-type"].split(";")[0] == "text/html"
    assert headers["content-disposition"] == "attachment; filename*=utf-8''page%20%C3%BC.html"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "sandbox; default-src 'none'; frame-ancestors 'none'"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_a_browser_asks_anew_for_a_file_that_may_have_been_replaced(store: ArtifactStore) -> None:
    write(store, "log.txt", b"first")
    assert get(store, "log.txt", range="bytes=0-3").headers["cache-control"] == "private, no-cache"
    assert get(store, "log.txt").headers["etag"]


@pytest.mark.parametrize("name", ["evil.js", "evil.mjs", "evil.JS", "evil.css", "EVIL.CSS"])
def test_a_file_is_never_answered_as_a_script_or_style_that_a_page_of_ours_could_load(
    store: ArtifactStore, name: str
) -> None:
    write(store, name, b"alert(1)")
    assert get(store, name).headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("table.parquet", "application/vnd.apache.parquet"),
        ("note.md", "text/markdown; charset=utf-8"),
        ("rows.csv", "text/csv; charset=utf-8"),
        ("rows.csv.gz", "application/gzip"),
        ("image.webp", "image/webp"),
        ("page.svg.xz", "application/octet-stream"),
        ("unknown", "application/octet-stream"),
    ],
)
def test_the_type_is_that_of_the_name_and_of_no_machine(store: ArtifactStore, name: str, kind: str) -> None:
    write(store, name, b"x")
    assert get(store, name).headers["content-type"] == kind


def test_a_range_beyond_the_end_is_refused_and_says_how_long_the_file_is(store: ArtifactStore) -> None:
    write(store, "f", b"12345")
    answer = get(store, "f", range="bytes=5-9")
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */5")


@pytest.mark.parametrize(
    "name", ["ünï ☃.txt", "a b/c  d.txt", "100%.txt", "a+b#c?d&e=f.txt", "x'y\"z~.txt", "%2e%2e/x", ".hidden"]
)
def test_names_are_kept_as_they_are(store: ArtifactStore, name: str) -> None:
    write(store, f"top/{name}", b"x")
    assert get(store, f"top/{name}").content == b"x"
    folder, _, last = f"top/{name}".rpartition("/")
    assert store.list(folder) == [Entry(last, 1)]
    store.delete(f"top/{name}")
    assert store.list(folder) == []


@pytest.mark.parametrize(
    "path", ["../x", "a/../../x", "/etc/passwd", "a//b", "a/./b", "a\\b", "", "a\0b", ".uploads/x", ".incoming/x"]
)
def test_a_path_that_climbs_out_or_is_reserved_is_refused(store: ArtifactStore, path: str) -> None:
    async def response() -> None:
        await store.response(path, {})

    acts: list[Callable[[], Any]] = [
        lambda: write(store, path, b"x"),
        lambda: run(response()),
        lambda: store.delete(path),
        lambda: run(store.begin(path, 1)) if store.multipart else write(store, path, b"x"),
    ]
    if path:
        acts.append(lambda: store.list(path))
    for act in acts:
        with pytest.raises(ApiError, match="Invalid path") as refused:
            act()
        assert refused.value.error_code == "INVALID_PARAMETER_VALUE"


def test_a_folder_lists_its_names_one_level_in_order(store: ArtifactStore) -> None:
    for path in ("r/b.txt", "r/a/deep/x", "r/c", "r/a/y", "rr/z"):
        write(store, path, b"12")
    assert store.list("r") == [Entry("a", None), Entry("b.txt", 2), Entry("c", 2)]
    assert store.list("r/a") == [Entry("deep", None), Entry("y", 2)]
    assert store.list("") == [Entry("r", None), Entry("rr", None)]
    assert store.list("r/b.txt") == store.list("nothing/here") == []


def test_delete_takes_a_file_or_a_whole_folder_and_nothing_beside_it(store: ArtifactStore) -> None:
    for path in ("r/a/x", "r/a/deep/y", "r/ab", "r/a.txt"):
        write(store, path, b"1")
    store.delete("r/a")
    assert store.list("r") == [Entry("a.txt", 1), Entry("ab", 1)]
    store.delete("r/ab")
    store.delete("r/nothing")
    assert store.list("r") == [Entry("a.txt", 1)]
    assert get(store, "r/a/x").status_code == 404


def test_what_is_not_there_is_missing(store: ArtifactStore) -> None:
    answer = get(store, "no/such")
    assert (answer.status_code, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


@pytest.mark.parametrize("data", [b"new", LARGE], ids=["small", "large"])
def test_a_wrong_hash_is_refused_and_the_old_file_stays(store: ArtifactStore, data: bytes) -> None:
    write(store, "f", b"old", hashlib.sha256(b"old").hexdigest().upper())
    with pytest.raises(ApiError, match="send it again"):
        write(store, "f", data, "0" * 64)
    assert get(store, "f").content == b"old"


@pytest.mark.parametrize("data", [b"half", LARGE], ids=["small", "large"])
def test_a_client_that_leaves_leaves_nothing(store: ArtifactStore, data: bytes, request: pytest.FixtureRequest) -> None:
    with pytest.raises(Gone):
        run(store.write("r/f", chunks(data, then=Gone()), size=len(data) * 2))
    assert store.list("r") == []
    if store.name.startswith("s3"):
        s3 = request.getfixturevalue("s3")
        assert s3.uploads(store.name.split("/")[2]) == 0


def test_a_file_is_seen_only_when_it_is_whole(store: ArtifactStore) -> None:
    write(store, "r/old", b"old")
    seen: list[Any] = []

    async def watched(path: str) -> AsyncIterator[bytes]:
        async for chunk in chunks(LARGE, 4_000_000):
            yield chunk
            seen.append(await asyncio.to_thread(store.list, path))

    run(store.write("r/new", watched("r")))
    assert all(names == [Entry("old", 3)] for names in seen)
    assert store.list("r") == [Entry("new", len(LARGE)), Entry("old", 3)]
    run(store.write("r/old", watched("r/none")))
    assert get(store, "r/old").content == LARGE


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=8388607-8388608", 8388607, 8388609),
        ("bytes=100-", 100, None),
        ("bytes=-100", -100, None),
        ("bytes=10-99999999999", 10, None),
    ],
)
def test_a_range_is_answered(store: ArtifactStore, asked: str, start: int, end: int | None) -> None:
    write(store, "f", LARGE)
    answer = get(store, "f", range=asked)
    assert answer.status_code == 206
    assert answer.content == LARGE[start:end]
    first = start % len(LARGE)
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(answer.content) - 1}/{len(LARGE)}"


def test_a_range_beyond_the_end_is_not_satisfiable(store: ArtifactStore) -> None:
    write(store, "f", b"12345")
    answer = get(store, "f", range="bytes=5-")
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */5")


def parts_of(store: ArtifactStore, path: str, data: dict[int, bytes]) -> tuple[str, list[Part]]:
    upload = run(store.begin(path, len(data)))
    parts = []
    for number, part in data.items():
        parts.append(Part(number, run(store.put_part(path, upload.id, number, chunks(part), len(part)))))
    return upload.id, parts


def test_parts_are_joined_in_order_whatever_the_order_they_came_in(parted: ArtifactStore) -> None:
    upload_id, parts = parts_of(parted, "r/big ü.bin", {3: b"tail", 1: LARGE[:PART], 2: LARGE[PART : 2 * PART]})
    again = run(parted.put_part("r/big ü.bin", upload_id, 1, chunks(b"z" * PART), PART))
    parts = [part if part.number != 1 else Part(1, again) for part in parts]
    assert parted.list("r") == []
    stored = run(parted.complete("r/big ü.bin", upload_id, parts))
    whole = b"z" * PART + LARGE[PART : 2 * PART] + b"tail"
    assert stored.size == len(whole)
    assert stored.sha256 in ("", hashlib.sha256(whole).hexdigest())
    assert get(parted, "r/big ü.bin").content == whole


def test_an_upload_that_lacks_a_part_is_refused_and_can_go_on(parted: ArtifactStore) -> None:
    upload_id, parts = parts_of(parted, "f", {1: LARGE[:PART], 2: b"tail"})
    for wrong in ([*parts, Part(3, '"none"')], []):
        with pytest.raises(ApiError) as refused:
            run(parted.complete("f", upload_id, wrong))
        assert refused.value.error_code == "INVALID_PARAMETER_VALUE"
    assert run(parted.complete("f", upload_id, parts)).size == PART + 4


def test_an_aborted_upload_is_gone(parted: ArtifactStore) -> None:
    upload_id, _ = parts_of(parted, "f", {1: b"1"})
    run(parted.abort("f", upload_id))
    with pytest.raises(ApiError, match="may have been completed or aborted") as refused:
        run(parted.abort("f", upload_id))
    assert refused.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    assert parted.list("") == []


def test_where_there_are_no_uploads_in_parts_mlflow_is_told_so_in_words_it_knows(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with pytest.raises(ApiError, match=r"^Multipart upload is not supported") as refused:
        run(made("memory", request, tmp_path).begin("f", 1))
    assert refused.value.error_code == "NOT_IMPLEMENTED"


def test_parts_and_downloads_go_to_the_store_itself_where_it_is_direct(store: ArtifactStore) -> None:
    if not store.direct:
        with pytest.raises(ApiError, match="Presigned download is not supported"):
            run(store.download_url("f"))
        return
    upload = run(store.begin("r/f ü+%.html", 2))
    data = [LARGE[:PART], b"tail"]
    answers = [httpx.put(url, content=part) for url, part in zip(upload.urls, data, strict=True)]
    parts = [Part(number, answer.headers["etag"]) for number, answer in enumerate(answers, 1)]
    run(store.complete("r/f ü+%.html", upload.id, parts))
    url, size = run(store.download_url("r/f ü+%.html"))
    answer = httpx.get(url)
    assert answer.content == b"".join(data)
    assert size == len(answer.content)
    assert answer.headers["content-disposition"] == "attachment"
    with pytest.raises(ApiError, match="No such artifact"):
        run(store.download_url("r/none"))


def test_forgetting_old_uploads_keeps_the_young(store: ArtifactStore) -> None:
    store.forget_old_uploads()
    if not store.multipart:
        return
    upload_id, parts = parts_of(store, "f", {1: b"1"})
    if store.name.startswith("s3"):
        return  # moto says of every upload that it was begun in 2010
    store.forget_old_uploads()
    assert run(store.complete("f", upload_id, parts)).size == 1
