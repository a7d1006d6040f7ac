"""Artifacts over HTTP: nothing climbs out, nothing is half there, nothing runs in our origin."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import httpx
import pytest

Server = Any  # the fixture of conftest.py
PROXY = "/api/2.0/mlflow-artifacts/artifacts"


def ours(run_id: str, path: str) -> str:
    return f"/api/headrace/v1/runs/{run_id}/artifacts/{path}"


def url(path: str) -> httpx.URL:
    """A path that the client does not tidy up."""
    return httpx.URL("http://test").copy_with(raw_path=b"/" + path.lstrip("/").encode())


HOSTILE = [
    "../secret",
    "a/../../secret",
    "%2e%2e/secret",
    "%2e%2e%2fsecret",
    "..%2f..%2fsecret",
    "%2fetc/passwd",
    "/etc/passwd",
    "a%5c..%5csecret",
    "..%5csecret",
    "C:%5csecret",
    "C:/secret",
    "a%00b",
    "a//b",
    "a/%2e/b",
    ".incoming/x",
    "%2eincoming/x",
    "x" * 256,
    "/".join(["x" * 200] * 30),
]


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
@pytest.mark.parametrize("path", HOSTILE)
def test_a_path_that_climbs_out_or_is_no_path_is_refused(server: Server, method: str, path: str) -> None:
    (server.folder / "secret").write_text("secret")
    artifacts = {x for x in server.folder.rglob("*") if "views" not in x.parts}
    response = server.call(method, url(f"{PROXY}/{path}"), content=b"evil" if method == "PUT" else None)
    assert response.status_code in (400, 404, 405), response.text
    assert set(response.json()) == {"error_code", "message"}
    assert {x for x in server.folder.rglob("*") if "views" not in x.parts} == artifacts
    assert (server.folder / "secret").read_text() == "secret"


@pytest.mark.parametrize("path", ["..", "../..", "/etc", "a/../../..", "\\..", "a\0b", ".incoming"])
def test_lists_stay_inside_too(server: Server, path: str) -> None:
    (server.folder / "secret").write_text("secret")
    run_id = server.new_run()
    for route, parameters in (
        (PROXY, {"path": path}),
        ("/api/2.0/mlflow/artifacts/list", {"run_id": run_id, "path": path}),
    ):
        response = server.call("GET", route, params=parameters)
        assert response.status_code in (200, 400)
        assert "secret" not in response.text
        assert "passwd" not in response.text


def test_a_double_encoded_path_is_taken_by_its_word(server: Server) -> None:
    server.call("PUT", url(f"{PROXY}/%252e%252e/file"), content=b"x")
    assert server.call("GET", url(f"{PROXY}/%252e%252e/file")).content == b"x"
    assert not (server.folder / "file").exists()


def test_a_file_comes_back_and_the_log_tells_of_it(server: Server) -> None:
    run_id = server.new_run()
    content = bytes(range(256)) * 20_000
    stored = server.call("PUT", ours(run_id, "models/ü 1.bin"), content=content).json()
    assert stored == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert server.call("GET", ours(run_id, "models/ü 1.bin")).content == content
    part = server.call("GET", ours(run_id, "models/ü 1.bin"), headers={"range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, b"\x01\x02\x03")
    listed = server.call("GET", "/api/2.0/mlflow/artifacts/list", params={"run_id": run_id, "path": "models"}).json()
    assert listed["files"] == [{"path": "models/ü 1.bin", "is_dir": False, "file_size": len(content)}]


def test_a_wrong_hash_is_refused_and_the_old_file_stays(server: Server) -> None:
    run_id = server.new_run()
    right = {"x-headrace-sha256": hashlib.sha256(b"one").hexdigest().upper()}
    assert server.call("PUT", ours(run_id, "f"), content=b"one", headers=right).status_code == 200
    assert server.call("PUT", ours(run_id, "f"), content=b"two", headers=right).status_code == 400
    assert server.call("GET", ours(run_id, "f")).content == b"one"


def test_readers_see_the_old_file_until_the_new_one_is_whole(server: Server) -> None:
    run_id = server.new_run()
    path = ours(run_id, "f")
    server.call("PUT", path, content=b"old")
    seen: list[bytes] = []

    async def overwrite() -> None:
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:

            async def body() -> AsyncIterator[bytes]:
                for _ in range(3):
                    yield b"n" * 2_000_000
                    seen.append((await client.get(path)).content)

            await client.put(path, content=body())
            seen.append((await client.get(path)).content)

    server.wait(overwrite())
    assert seen == [b"old"] * 3 + [b"n" * 6_000_000]


def test_an_upload_that_breaks_off_leaves_the_old_file_and_no_rest(server: Server) -> None:
    run_id = server.new_run()
    path = ours(run_id, "f")
    server.call("PUT", path, content=b"old")

    async def body() -> AsyncIterator[bytes]:
        yield b"n" * 2_000_000
        raise ConnectionResetError

    with suppress(ConnectionResetError):
        assert server.call("PUT", path, content=body()).status_code >= 400
    assert server.call("GET", path).content == b"old"
    assert not [x for x in server.folder.rglob(".incoming/*") if x.is_file()]


def test_files_and_folders_do_not_take_each_others_names(server: Server) -> None:
    run_id = server.new_run()
    server.call("PUT", ours(run_id, "a/b"), content=b"x")
    for path in ("a", "a/b/c"):
        assert server.call("PUT", ours(run_id, path), content=b"y").status_code == 400
    assert server.call("GET", ours(run_id, "a")).status_code == 404
    assert server.call("GET", ours(run_id, "a/b")).content == b"x"


@pytest.mark.parametrize("name", ["page.html", "image.svg", "script.js", 'a"b.html', "ü.xml", "plain"])
def test_a_browser_downloads_and_never_runs_an_artifact(server: Server, name: str) -> None:
    run_id = server.new_run()
    quoted = url(ours(run_id, quote(name)).removeprefix("/"))
    assert server.call("PUT", quoted, content=b"<script>").status_code == 200
    headers = server.call("GET", quoted).headers
    assert headers["content-disposition"].startswith("attachment")
    assert "\n" not in headers["content-disposition"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]


HOSTILE_FILES = {
    "page.html": b"<!doctype html><script>parent.pwned = fetch('/api/2.0/mlflow/experiments/search')</script>",
    "page.xhtml": b'<html xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script></html>',
    "image.svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(2)</script></svg>',
    "data.xml": b'<?xml-stylesheet type="text/xsl" href="evil.xsl"?><x xmlns:h="http://www.w3.org/1999/xhtml"><h:script/></x>',
    "evil.xsl": b'<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"/>',
    "script.js": b"alert(1)",
    "polyglot": b"<html><script>alert(1)</script>",
}


@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_what_is_shown_is_in_a_sandbox_without_script_and_without_requests(server: Server, name: str) -> None:
    run_id = server.new_run()
    server.call("PUT", ours(run_id, name), content=HOSTILE_FILES[name])
    answer = server.call("GET", ours(run_id, name), params={"inline": "true"})
    assert answer.content == HOSTILE_FILES[name]
    assert answer.headers["content-disposition"] == f'inline; filename="{name}"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert policy["sandbox"] == "", "nothing is allowed: no script, no origin, no form, no popup"
    assert policy["default-src"] == "'none'"
    assert not {"script-src", "connect-src", "frame-src", "worker-src"} & set(policy)
    assert "'self'" not in policy["img-src"] + policy["style-src"] + policy["font-src"]
    assert "javascript" not in answer.headers["content-type"]
    assert server.call("GET", ours(run_id, name)).headers["content-disposition"].startswith("attachment")


ADDRESSES = [
    ours("{run}", "page.html"),
    ours("{run}", "page.html") + "?inline=true",
    "/get-artifact?run_id={run}&path=page.html",
    "/ajax-api/2.0/mlflow/get-artifact?run_uuid={run}&path=page.html",
    PROXY + "/0/{run}/artifacts/page.html",
    "/ajax-api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/page.html",
]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(
    "headers", [{}, {"range": "bytes=0-3"}, {"range": "bytes=999-"}], ids=["whole", "part", "beyond"]
)
def test_every_address_of_an_artifact_is_as_safe(server: Server, address: str, headers: dict[str, str]) -> None:
    run_id = server.new_run()
    server.call("PUT", ours(run_id, "page.html"), content=HOSTILE_FILES["page.html"])
    answer = server.call("GET", address.format(run=run_id), headers=headers)
    if answer.status_code == 416:  # nothing of the file is in it
        assert HOSTILE_FILES["page.html"] not in answer.content
        return
    assert answer.status_code == (206 if headers else 200)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none';")
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_inline_is_yes_or_no(server: Server) -> None:
    run_id = server.new_run()
    server.call("PUT", ours(run_id, "f"), content=b"x")
    assert server.call("GET", ours(run_id, "f"), params={"inline": "maybe"}).status_code == 400


def test_what_is_not_there_is_404_in_mlflows_words(server: Server) -> None:
    run_id = server.new_run()
    for method, path in (("GET", ours(run_id, "no")), ("GET", f"{PROXY}/no"), 
                         ("GET", ours("norun", "x")), ("PUT", ours("norun", "x"))):  # fmt: skip
        response = server.call(method, path)
        assert response.status_code == 404, response.text
        assert response.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST", (method, path)


def test_many_uploads_of_one_name_end_with_one_of_them_whole(server: Server) -> None:
    run_id = server.new_run()
    contents = [bytes([i]) * 300_000 for i in range(8)]

    async def upload() -> None:
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await asyncio.gather(*(client.put(ours(run_id, "f"), content=content) for content in contents))

    server.wait(upload())
    assert server.call("GET", ours(run_id, "f")).content in contents
