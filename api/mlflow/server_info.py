"""What the server can do, as MLflow 3 clients ask for it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from headrace.api.mlflow.wire import json_response
from headrace.api.services import services

router = APIRouter(tags=["server"])
INFO: dict[str, Any] = {
    "store_type": "Headrace",
    "workspaces_enabled": False,
    "trace_archival_enabled": False,
    "multipart_uploads_enabled": True,
    "multipart_downloads_enabled": False,
    "presigned_upload_run_id_supported": False,
    "presigned_upload_model_id_supported": False,
    "features_enabled": {"gateway": False},
}


@router.get("/api/3.0/mlflow/server-info", summary="What the server can do")
@router.get("/ajax-api/3.0/mlflow/server-info", include_in_schema=False)
async def server_info(request: Request) -> Response:
    """Features that clients look for before they use them."""
    store = services(request).artifacts
    return json_response(
        INFO | {"multipart_uploads_enabled": store.multipart, "multipart_downloads_enabled": store.direct}
    )
