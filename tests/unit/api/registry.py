"""What tests of the registry ask of a server: requests that must succeed, and those that must be refused."""

from __future__ import annotations

import uuid
from typing import Any

from tests.unit.api.conftest import V2, Server


class Registry:
    """The registry of a server, by its REST API."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def ask(self, method: str, path: str, **asked: Any) -> Any:
        """A request that must succeed: what is asked in the query of a GET, else in the body."""
        told = self._call(method, path, asked)
        assert told.status_code == 200, told.text
        return told.json()

    def refused(self, method: str, path: str, code: str = "INVALID_PARAMETER_VALUE", /, **asked: Any) -> str:
        """The message of a request that must be refused with this code."""
        told = self._call(method, path, asked)
        assert told.json()["error_code"] == code, told.text
        assert told.status_code == (404 if code == "RESOURCE_DOES_NOT_EXIST" else 400)
        message: str = told.json()["message"]
        return message

    def _call(self, method: str, path: str, asked: dict[str, Any]) -> Any:
        given = {"params": asked} if method == "GET" else {"json": asked}
        return self.server.call(method, f"{V2}/{path}", **given)

    def new(self, prefix: str = "model") -> str:
        """A registered model with a name of its own."""
        name = f"{prefix}-{uuid.uuid4().hex[:8]}"
        self.ask("POST", "registered-models/create", name=name)
        return name

    def version(self, name: str, source: str = "s3://bucket/model", **more: Any) -> dict[str, Any]:
        """A new version."""
        made: dict[str, dict[str, Any]] = self.ask("POST", "model-versions/create", name=name, source=source, **more)
        return made["model_version"]

    def model(self, name: str, **more: Any) -> dict[str, Any]:
        """A registered model as it is."""
        told: dict[str, dict[str, Any]] = self.ask("GET", "registered-models/get", name=name, **more)
        return told["registered_model"]

    def get(self, name: str, version: str, **more: Any) -> dict[str, Any]:
        """A version as it is."""
        found: dict[str, dict[str, Any]] = self.ask("GET", "model-versions/get", name=name, version=version, **more)
        return found["model_version"]
