"""Endpoints of a real server with real workers: they follow the registry, and outlive what is done to them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from headrace.ingest import model_events as m
from headrace.sdk import endpoints
from headrace.sdk.reader import Reader

from tests.e2e.conftest import Server
from tests.model_registering import model_id_of, registered, sent

pytestmark = [pytest.mark.e2e]

MODELS = '''
import os, sys, time
import headrace.pyfunc

class Tells(headrace.pyfunc.PythonModel):
    """Answers with what it was made with; obeys what it is told."""

    def __init__(self, word):
        self.word = word

    def predict(self, context, model_input, params=None):
        told = str(model_input[0][0])
        if told == "exit":
            os._exit(3)
        if told == "fill":
            self.held = bytearray(os.urandom(1024)) * 2**20
        if told == "sleep":
            time.sleep(1.5)
        return [self.word for _ in model_input]

class Raises(Tells):
    def load_context(self, context):
        raise RuntimeError("the moon is in the wrong house")

import cloudpickle
cloudpickle.register_pickle_by_value(sys.modules["__main__"])
for name, model in {"one": Tells("one"), "two": Tells("two"), "raises": Raises("never")}.items():
    headrace.pyfunc.save_model(sys.argv[1] + "/" + name, python_model=model, pip_requirements=[])
'''


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of models: `one` and `two` answer with their names, `raises` does not load."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "make.py").write_text(MODELS)
    subprocess.run([sys.executable, str(folder / "make.py"), str(folder)], check=True)
    return folder


class World:
    """A server and what the tests do to it."""

    def __init__(self, server: Any, models: Path) -> None:
        self.server = server
        self.models = models
        self.client = httpx.Client(base_url=server.url, timeout=60)
        self.reader = Reader(server.url, self.client)

    def register(self, name: str, model: str, alias: str = "champion", digest: str = "") -> str:
        """The next version of a registered model; its version_id."""
        return registered(self.client, name, self.models / model, alias, digest)

    def endpoint(self, name: str, model: str = "one", **options: Any) -> dict[str, Any]:
        """An endpoint that follows `champion` of a registered model of its own name, loaded."""
        self.register(name, model)
        made = endpoints.create(name, f"models:/{name}@champion", options=options, wait_s=120, source=self.reader)
        assert made["state"] == "ready", made
        return made

    def stands(self, name: str) -> dict[str, Any]:
        """An endpoint once nothing loads."""
        return endpoints.get(name, wait_s=120, source=self.reader)

    def route(self, name: str) -> dict[str, Any]:
        """Its first route."""
        found: dict[str, Any] = self.stands(name)["routes"][0]
        return found

    def ask(self, name: str, word: str = "", **headers: str) -> httpx.Response:
        """One request."""
        return self.client.post(f"/endpoints/{name}/invocations", json={"inputs": [[word]]}, headers=headers)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[World]:
    """One server for all tests, and models for it."""
    server = Server(tmp_path_factory.mktemp("endpoints") / "data", endpoint_previous_s=60)
    made = World(server.start(), models)
    yield made
    made.client.close()
    server.close()


class Load:
    """Requests of several threads to an endpoint, each counted by its answer, until the block ends."""

    def __init__(self, world: World, name: str, threads: int = 2) -> None:
        self.seen: Counter[tuple[int, str]] = Counter()
        self.bad: list[str] = []
        self._world = world
        self._name = name
        self._ended = threading.Event()
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def until(self, *words: str, timeout_s: float = 120.0) -> None:
        """Wait until each of these was answered after this call."""
        with self._changed:
            before = self.seen.copy()
            found = self._changed.wait_for(
                lambda: all(self.seen[200, word] > before[200, word] for word in words), timeout_s
            )
            assert found, self.seen

    def _run(self) -> None:
        with httpx.Client(base_url=self._world.server.url, timeout=60) as client:
            while not self._ended.is_set():
                answer = client.post(f"/endpoints/{self._name}/invocations", json={"inputs": [["x"]]})
                word = answer.json()["predictions"][0] if answer.status_code == 200 else answer.text
                with self._changed:
                    self.seen[answer.status_code, word] += 1
                    self._changed.notify_all()


def version_id_of(world: World, name: str, version: int) -> str:
    """The id of a version, from the files that were stored for it."""
    query = f"SELECT storage_location FROM model_versions WHERE name = '{name}' AND version = {version}"
    answer = world.client.post("/api/headrace/v1/sql", json={"query": query, "format": "json"})
    assert answer.status_code == 200, answer.text
    return str(json.loads(answer.text)["rows"][0][0]).rsplit("/", 1)[-1]


def test_a_swap_and_the_way_back_under_load_fail_no_request(world: World) -> None:
    first = world.endpoint("swap")["routes"][0]["serving"]
    with Load(world, "swap") as load:
        load.until("one")
        world.register("swap", "two")
        load.until("two")
        before = load.seen[200, "one"]
        sent(world.client, model_id_of("swap"), m.AliasSet("champion", version_id_of(world, "swap", 1)))
        load.until("one")
    assert {status for status, _ in load.seen} == {200}
    assert load.seen[200, "one"] > before
    route = world.route("swap")
    assert (route["serving"]["label"], route["previous"]["label"]) == ("swap/1", "swap/2")
    assert [w["pid"] for w in route["serving"]["workers"]] == [w["pid"] for w in first["workers"]]
    assert route["serving"]["requests"] + route["previous"]["requests"] == sum(load.seen.values())


def test_a_worker_that_is_killed_under_load_is_started_again_and_no_request_fails(world: World) -> None:
    worker = world.endpoint("killed")["routes"][0]["serving"]["workers"][0]
    with Load(world, "killed") as load:
        load.until("one")
        os.kill(worker["pid"], signal.SIGKILL)
        load.until("one")
    assert {status for status, _ in load.seen} == {200}
    serving = world.route("killed")["serving"]
    assert serving["restarts"] == 1
    assert "SIGKILL" in serving["reason"]
    assert serving["workers"][0]["pid"] != worker["pid"]


def test_a_request_that_ends_its_worker_twice_is_refused_and_no_other_model_notices(world: World) -> None:
    bystander = world.route("swap")["serving"]["workers"]
    answer = world.ask("killed", "exit")
    assert (answer.status_code, answer.json()["error_code"]) == (502, "WORKER_ENDED")
    assert "exit code 3" in answer.json()["message"]
    assert world.ask("killed").json() == {"predictions": ["one"]}
    assert world.route("swap")["serving"]["workers"][0]["pid"] == bystander[0]["pid"]


def test_a_worker_over_its_memory_is_ended_and_one_that_is_slow_is_not_waited_for(world: World) -> None:
    world.endpoint("limits", memory_bytes_max=700 * 2**20)
    answer = world.ask("limits", "fill")
    assert answer.status_code == 502
    assert "over its limit of 700 MiB" in answer.json()["message"]
    endpoints.update("limits", options={"timeout_s": 0.5}, wait_s=120, source=world.reader)
    slow = world.ask("limits", "sleep")
    assert (slow.status_code, "0.5 s" in slow.json()["message"]) == (504, True)


def test_a_model_that_does_not_load_leaves_the_old_one_serving_and_says_why(world: World) -> None:
    world.register("swap", "raises")
    route = world.route("swap")
    assert route["serving"]["label"] == "swap/1"
    assert "swap/3 does not load: RuntimeError: the moon is in the wrong house" in route["reason"]
    world.register("swap", "two", digest="00" * 32)
    assert "its files are not those that were registered" in world.route("swap")["reason"]
    assert world.stands("swap")["state"] == "degraded"
    assert world.ask("swap").json() == {"predictions": ["one"]}


def test_weights_split_traffic_and_a_shadow_gets_a_copy(world: World) -> None:
    world.register("swap", "two", alias="challenger")
    routes = {"models:/swap/1": 3.0, "models:/swap@challenger": 1.0}
    told = endpoints.update("swap", routes=routes, shadow="models:/swap/2", wait_s=120, source=world.reader)
    assert told["state"] == "ready", told
    seen = Counter(world.ask("swap").json()["predictions"][0] for _ in range(200))
    assert 20 <= seen["two"] <= 80
    assert seen["one"] + seen["two"] == 200
    sticky = {world.ask("swap", **{"X-Request-Id": "same"}).headers["x-headrace-model"] for _ in range(10)}
    assert len(sticky) == 1
    copied = world.stands("swap")["shadow"]["serving"]
    assert copied["shadow"] + copied["shadow_dropped"] >= 200


def test_routes_of_which_none_serves_leave_those_before_serving(world: World) -> None:
    told = endpoints.update("swap", "models:/swap/99", shadow="", wait_s=120, source=world.reader)
    assert (told["state"], told["serving_before"]) == ("degraded", ["swap/1", "swap/5"])
    assert "has no version 99" in told["routes"][0]["reason"]
    assert world.ask("swap").status_code == 200


def test_requests_are_logged_when_asked_and_are_rows_of_the_view(world: World) -> None:
    endpoints.update("killed", options={"log_sample": 1.0, "log_bytes_max": 12}, source=world.reader)
    world.ask("killed", "a-long-word", **{"X-Request-Id": "r-1"})
    found: list[dict[str, Any]] = []
    deadline_s = time.monotonic() + 60
    while not found and time.monotonic() < deadline_s:
        found = endpoints.logs("killed", source=world.reader)
    told = [(x["request_id"], x["status"], x["version"], x["request"]) for x in found]
    assert told == [("r-1", 200, "1", '{"inputs":[[')]
    assert found[0]["request_bytes"] > 12
    query = "SELECT version, status FROM predictions WHERE endpoint = 'killed'"
    rows = world.client.post("/api/headrace/v1/sql", json={"query": query, "format": "json"}).json()["rows"]
    assert rows == [[1, 200]]


def test_the_command_line_makes_asks_and_deletes_an_endpoint(world: World) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "headrace.sdk.cli.main", "--tracking-uri", world.server.url, "endpoints"]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)

    made = run("create", "cli", "--model", "models:/killed/1", "--option", "queue_max=9", "--wait", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["options"]["queue_max"] == 9
    assert json.loads(run("invoke", "cli", "-d", '{"inputs": [["x"]]}').stdout) == {"predictions": ["one"]}
    broken = run("update", "cli", "--model", "models:/killed/7", "--wait")
    assert broken.returncode == 1
    assert "has no version 7" in broken.stderr
    assert run("delete", "cli", "limits", "--yes").returncode == 0
    assert world.client.get("/api/headrace/v1/endpoints/cli").status_code == 404


def test_a_server_that_is_killed_takes_its_workers_along_and_brings_them_back(world: World) -> None:
    endpoints.delete("swap", source=world.reader)
    workers = psutil.Process(world.server.pid).children()
    assert workers
    world.server.kill()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []
    world.server.start_again()
    assert world.stands("killed")["state"] == "ready"
    assert world.ask("killed").json() == {"predictions": ["one"]}


def test_a_server_that_is_stopped_ends_its_workers(world: World) -> None:
    workers = psutil.Process(world.server.pid).children()
    assert workers
    assert world.server.stop(120) == 0
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []
