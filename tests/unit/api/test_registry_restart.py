"""The registry is what its log says: after a restart, after a rebuild, and on another server over the same log."""

from __future__ import annotations

from pathlib import Path

from headrace.ingest import model_events as m
from headrace.ingest.log import Partition
from headrace.processors.model_registry import Models
from headrace.processors.refold import registry_at

from tests.unit.api.conftest import Server
from tests.unit.api.registry import Registry
from tests.unit.api.test_model_versions import DIGEST, append, logged_model, until_not_pending


def state(models: Models) -> object:
    """All that a registry holds of registered models."""
    return models.by_id, models.by_name, models.stages, models.pending


def test_a_restarted_server_has_the_same_registry_and_takes_up_what_was_pending(tmp_path: Path) -> None:
    first = Server(tmp_path)
    try:
        registry = Registry(first)
        logged, name = logged_model(first, ready=False), registry.new()
        for source in ("s3://bucket/1", "s3://bucket/2"):
            registry.version(name, source)
        registry.ask("POST", "registered-models/alias", name=name, alias="champion", version="2")
        registry.ask("POST", "model-versions/transition-stage", name=name, version="1", stage="Staging", comment="c")
        registry.ask("POST", "comments/create", name=name, version="1", comment="hm")
        registry.ask("DELETE", "model-versions/delete", name=name, version="2")
        append(first, "s-pending", m.RegisteredModelCreated("pending"))
        append(first, "s-pending-2", m.RegisteredModelCreated("pending", if_absent=True))
        version = m.ModelVersionCreated("v1", f"models:/{logged['model_id']}", model_id=logged["model_id"])
        append(first, "s-pending-3", m.RegisteredModelCreated("pending", if_absent=True), version)
        assert registry.get("pending", "1")["status"] == "PENDING_REGISTRATION"
        before = state(first.services.engine.registry.models)
    finally:
        first.close()
    second = Server(tmp_path)
    try:
        registry, end = Registry(second), second.log.end()[Partition("registry", 0)]
        assert state(second.services.engine.registry.models) == before
        assert state(registry_at(second.log, Partition("registry", 0), end).models) == before
        second.call(
            "PATCH", f"/api/2.0/mlflow/logged-models/{logged['model_id']}", json={"status": "LOGGED_MODEL_READY"}
        )
        assert until_not_pending(registry, "pending")["headrace"]["digest"] == DIGEST
    finally:
        second.close()


def test_of_two_servers_that_finalize_a_version_one_wins_and_both_agree(tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        registry, name = Registry(server), "twice"
        logged = logged_model(server)
        append(server, "s-twice", m.RegisteredModelCreated(name), m.ModelVersionCreated("v1", "models:/m-elsewhere"))
        assert registry.get(name, "1")["status"] == "PENDING_REGISTRATION"
        tracking = server.services.tracking
        outcomes = [
            server.wait(tracking.command("s-twice", m.ModelVersionFinalized("v1", "READY", digest)))
            for digest in ("first", "second")
        ]
        assert outcomes == [None, f"version 1 of {name} is READY already"]
        assert registry.get(name, "1")["headrace"]["digest"] == "first"
        assert logged["status"] == "LOGGED_MODEL_PENDING"
    finally:
        server.close()


def test_a_store_that_fails_for_a_while_leaves_versions_pending_and_no_others_wait_for_it(tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        registry = Registry(server)
        first, second = logged_model(server), logged_model(server)
        folder = server.folder / "artifacts" / first["artifact_uri"].removeprefix("mlflow-artifacts:/") / "data"
        kept = folder.rename(folder.parent / "kept")
        folder.symlink_to(folder)
        for name, logged in (("broken", first), ("whole", second)):
            version = m.ModelVersionCreated("v1", f"models:/{logged['model_id']}", model_id=logged["model_id"])
            append(server, f"s-{name}", m.RegisteredModelCreated(name), version)
        assert until_not_pending(registry, "whole")["headrace"]["digest"] == DIGEST
        assert registry.get("broken", "1")["status"] == "PENDING_REGISTRATION"
        folder.unlink()
        kept.rename(folder)
        server.services.registering._again.clear()
        assert until_not_pending(registry, "broken")["headrace"]["digest"] == DIGEST
    finally:
        server.close()
