"""The bodies and queries of the registry's routes, for the tests that damage them."""

from __future__ import annotations

from typing import Any

V2 = "/api/2.0/mlflow"
STAGES = "/api/headrace/v1/registry/stages"
_PAIR = {"key": "k", "value": "v"}
_VERSION = {"name": "registered", "version": "1"}
_MODELS, _VERSIONS, _REQUESTS = f"{V2}/registered-models", f"{V2}/model-versions", f"{V2}/transition-requests"

BODIES: dict[str, Any] = {
    f"POST {_MODELS}/create": {"name": "another", "description": "d", "tags": [_PAIR]},
    f"PATCH {_MODELS}/update": {"name": "registered", "description": "d"},
    f"POST {_MODELS}/rename": {"name": "another", "new_name": "renamed"},
    f"POST {_MODELS}/get-latest-versions": {"name": "registered", "stages": ["None"]},
    f"POST {_MODELS}/set-tag": {"name": "registered", **_PAIR},
    f"POST {_MODELS}/alias": {"name": "registered", "alias": "champion", "version": "1"},
    f"POST {_VERSIONS}/create": {
        "name": "registered",
        "source": "runs:/{run_id}/model",
        "run_id": "{run_id}",
        "run_link": "http://x",
        "description": "d",
        "tags": [_PAIR],
    },
    f"PATCH {_VERSIONS}/update": {**_VERSION, "description": "d"},
    f"POST {_VERSIONS}/transition-stage": {
        **_VERSION,
        "stage": "Staging",
        "archive_existing_versions": True,
        "comment": "c",
    },
    f"POST {_VERSIONS}/set-tag": {**_VERSION, **_PAIR},
    f"POST {_REQUESTS}/create": {**_VERSION, "stage": "Production", "comment": "c"},
    f"POST {_REQUESTS}/approve": {**_VERSION, "stage": "Production", "archive_existing_versions": True, "comment": "c"},
    f"POST {_REQUESTS}/reject": {**_VERSION, "stage": "Production", "comment": "c", "id": "q"},
    f"POST {V2}/comments/create": {**_VERSION, "comment": "c"},
    f"PATCH {V2}/comments/update": {"id": "c", "comment": "c"},
    f"DELETE {_MODELS}/delete": {"name": "another"},
    f"DELETE {_MODELS}/delete-tag": {"name": "registered", "key": "k"},
    f"DELETE {_MODELS}/alias": {"name": "registered", "alias": "champion"},
    f"DELETE {_VERSIONS}/delete": {"name": "registered", "version": "99"},
    f"DELETE {_VERSIONS}/delete-tag": {**_VERSION, "key": "k"},
    f"DELETE {_REQUESTS}/delete": {**_VERSION, "stage": "Production", "creator": "ada"},
    f"DELETE {V2}/comments/delete": {"id": "c"},
    f"PUT {STAGES}": {"stages": ["Staging", "Production", "Canary"]},
}
"""By method and path; `registered` and its version 1 are there."""

QUERIES: dict[str, dict[str, str]] = {
    f"{_MODELS}/get": {"name": "registered", "as_of": ""},
    f"{_MODELS}/search": {"filter": "name LIKE 'r%'", "max_results": "2", "order_by": "name DESC", "page_token": ""},
    f"{_MODELS}/get-latest-versions": {"name": "registered", "stages": "None"},
    f"{_MODELS}/alias": {"name": "registered", "alias": "latest"},
    f"{_VERSIONS}/get": {**_VERSION, "as_of": ""},
    f"{_VERSIONS}/get-download-uri": {**_VERSION},
    f"{_VERSIONS}/search": {"filter": "version_number = 1", "max_results": "2", "order_by": "name", "page_token": ""},
    f"{_REQUESTS}/list": {**_VERSION, "state": "all"},
    f"{V2}/comments/list": {**_VERSION},
    STAGES: {"as_of": ""},
}
"""By path."""
