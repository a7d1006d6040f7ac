"""The object stores by name: how to reach S3 and its like, Google Cloud Storage and Azure Blob Storage."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import obstore.store
from headrace.api.stores.objects import ObjectStore
from headrace.api.stores.s3_uploads import Bucket, Credentials, S3Uploads
from obstore.exceptions import BaseError

REFUSALS = (BaseError, ValueError)
"""What a wrong name or option raises."""
_CONNECT = timedelta(seconds=5)
_PROMPT = timedelta(seconds=15)
_TRANSFER = timedelta(seconds=120)
_RETRIES = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}


def s3(bucket: str, prefix: str, options: Mapping[str, str], environ: Mapping[str, str]) -> ObjectStore:
    """A bucket of S3 or a store like it.

    options: endpoint (for the server), public_endpoint (for clients), region, direct (yes or no). environ: AWS_*.
    Without a key there, obstore asks the machine's role, and there are no multipart uploads of clients.
    """
    region = options.get("region") or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    given = options.get("endpoint") or environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""
    endpoint = given or f"https://s3.{region}.amazonaws.com"
    public = options.get("public_endpoint") or endpoint
    # A private endpoint may be one that only the server reaches: then clients go there only when told so.
    direct = options.get("direct") or ("no" if given and public == given else "yes")
    config: Any = {"region": region, "virtual_hosted_style_request": False}
    uploads = None
    key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        token = environ.get("AWS_SESSION_TOKEN", "")
        config |= {"access_key_id": key, "secret_access_key": secret} | ({"session_token": token} if token else {})
        uploads = S3Uploads(Bucket(endpoint, public, region, bucket), Credentials(key, secret, token))

    def at(place: str, timeout: timedelta) -> Any:
        client = _client(timeout, allow_http=place.startswith("http://"))
        return obstore.store.S3Store(bucket, prefix=prefix or None, config=config | {"endpoint": place}, **client)

    return ObjectStore(
        _name("s3", bucket, prefix),
        at(endpoint, _TRANSFER),
        prompt=at(endpoint, _PROMPT),
        public=at(public, _PROMPT) if direct == "yes" else None,
        uploads=uploads,
        prefix=prefix,
    )


def other(scheme: str, bucket: str, prefix: str, options: Mapping[str, str]) -> ObjectStore:
    """A bucket of Google (gs) or a container of Azure (az): obstore knows their addresses and reads their variables."""
    name = _name(scheme, bucket, prefix)

    def at(timeout: timedelta) -> Any:
        return obstore.store.from_url(name, **_client(timeout, allow_http=False))

    public = at(_PROMPT) if options.get("direct", "yes") == "yes" else None
    return ObjectStore(name, at(_TRANSFER), prompt=at(_PROMPT), public=public)


def _name(scheme: str, bucket: str, prefix: str) -> str:
    return f"{scheme}://{bucket}" + (f"/{prefix}" if prefix else "")


def _client(timeout: timedelta, allow_http: bool) -> dict[str, Any]:
    options = {"connect_timeout": _CONNECT, "timeout": timeout, "allow_http": allow_http}
    return {"client_options": options, "retry_config": _RETRIES}
