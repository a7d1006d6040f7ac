"""Which artifact store a setting names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from headrace.api.stores.local import LocalStore
from headrace.api.stores.store import ArtifactStore, StoreUnavailable

FORMS = "s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///folder"
S3_OPTIONS = ("endpoint", "public_endpoint", "region", "direct")


def open_store(artifacts: str, data_dir: Path, environ: Mapping[str, str] = os.environ) -> ArtifactStore:
    """The store at a URL, or for an empty one the folder `artifacts` of the data folder; it is not asked anything yet.

    Raises StoreUnavailable for a URL that names none.
    """
    if not artifacts:
        return LocalStore(data_dir / "artifacts")
    url = urlsplit(artifacts)
    if url.scheme == "file":
        if url.netloc or not url.path.strip("/"):
            raise _wrong(artifacts, "a folder of this machine is file:///folder")
        return LocalStore(Path(unquote(url.path)))
    if url.scheme not in ("s3", "gs", "az"):
        raise _wrong(artifacts, f"it has to be {FORMS}")
    if not url.netloc:
        raise _wrong(artifacts, f"it names no {'container' if url.scheme == 'az' else 'bucket'}")
    options = dict(parse_qsl(url.query, keep_blank_values=True))
    known = S3_OPTIONS if url.scheme == "s3" else ("direct",)
    for name in options:
        if name not in known:
            raise _wrong(artifacts, f"it has no option {name!r}; known are {', '.join(known)}")
    if options.get("direct", "yes") not in ("yes", "no"):
        raise _wrong(artifacts, "direct is yes or no")
    try:
        from headrace.api.stores import clouds
    except ImportError:
        raise StoreUnavailable(f'artifacts in {url.scheme}:// need `pip install "headrace[objects]"`') from None
    prefix = unquote(url.path).strip("/")
    try:
        if url.scheme == "s3":
            return clouds.s3(url.netloc, prefix, options, environ)
        return clouds.other(url.scheme, url.netloc, prefix, options)
    except clouds.REFUSALS as error:
        raise _wrong(artifacts, str(error).split("\n")[0]) from None


def _wrong(artifacts: str, why: str) -> StoreUnavailable:
    return StoreUnavailable(f"HEADRACE_ARTIFACTS: {artifacts!r} is no artifact store: {why}")
