"""Multipart uploads of S3 whose parts others may send: begun, signed, listed, completed and aborted by its REST API.

The store's library uploads in parts on its own, but hands out neither upload ids nor URLs of parts, which MLflow's
protocol needs. Requests are signed in the query by AWS Signature Version 4
(docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html), so the server uses the URLs it gives to clients.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import httpx
from headrace.api.errors import ApiError, invalid, unavailable
from headrace.api.stores.store import Part, no_upload

PART_URL_S = 24 * 3600
"""How long a client has to send a part."""
_OWN_URL_S = 900
_CONTROL = httpx.Timeout(30, connect=5)
_COMPLETE = httpx.Timeout(300, connect=5)
"""S3 joins the parts of a large file before it answers, and may take minutes."""
_CLIENTS_FAULTS = ("InvalidPart", "InvalidPartOrder", "EntityTooSmall", "EntityTooLarge", "MalformedXML")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of an AWS account or of a store like it. token: of a session, or empty."""

    access_key_id: str
    secret_access_key: str
    token: str = ""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where the objects are: the endpoint's URL for the server and for clients, the region, and the bucket's name."""

    endpoint: str
    public_endpoint: str
    region: str
    name: str


def signed(
    method: str,
    url: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    credentials: Credentials,
    region: str,
    now: datetime,
    expires_s: int,
) -> str:
    """The URL with its signature, for requests that send exactly these headers.

    url: without a query, its path already quoted. query: unquoted. now: UTC.
    """
    split = urlsplit(url)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    sent = {"host": split.netloc, **{name.lower(): value.strip() for name, value in headers.items()}}
    names = ";".join(sorted(sent))
    asked = {
        **query,
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{credentials.access_key_id}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(expires_s),
        "X-Amz-SignedHeaders": names,
        **({"X-Amz-Security-Token": credentials.token} if credentials.token else {}),
    }
    pairs = "&".join(f"{quote(name, safe='')}={quote(asked[name], safe='')}" for name in sorted(asked))
    lines = [f"{name}:{sent[name]}" for name in sorted(sent)]
    canonical = "\n".join([method, split.path or "/", pairs, *lines, "", names, "UNSIGNED-PAYLOAD"])
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{credentials.secret_access_key}".encode()
    for step in (*scope.split("/"), text):
        key = hmac.digest(key, step.encode(), "sha256")
    return f"{url}?{pairs}&X-Amz-Signature={key.hex()}"


class S3Uploads:
    """The multipart uploads of one bucket. Keys are whole: they include the store's prefix.

    Methods raise TEMPORARILY_UNAVAILABLE when S3 does not answer or refuses us, and where they take an upload's id
    RESOURCE_DOES_NOT_EXIST when there is none.
    """

    def __init__(self, bucket: Bucket, credentials: Credentials) -> None:
        self._bucket = bucket
        self._credentials = credentials

    async def begin(self, key: str, headers: Mapping[str, str]) -> str:
        """The id of a new upload. headers: what the object will be served with."""
        answer = await self._ask("POST", key, {"uploads": ""}, headers=headers)
        return _found(answer, "UploadId")

    def part_url(self, key: str, upload_id: str, number: int) -> str:
        """Where a client may PUT a part for the next PART_URL_S seconds."""
        query = {"partNumber": str(number), "uploadId": upload_id}
        return self._url("PUT", key, query, {}, self._bucket.public_endpoint, PART_URL_S)

    async def put_part(self, key: str, upload_id: str, number: int, chunks: AsyncIterator[bytes], size: int) -> str:
        """Pass a part on; its ETag."""
        query = {"partNumber": str(number), "uploadId": upload_id}
        answer = await self._ask("PUT", key, query, chunks, {"content-length": str(size)}, unsigned=True)
        etag: str = answer.headers.get("etag", "")
        return etag

    async def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Join parts. Raises INVALID_PARAMETER_VALUE when one is not there, or is too small to be followed by more."""
        named = "".join(
            f"<Part><PartNumber>{part.number}</PartNumber><ETag>{escape(part.etag)}</ETag></Part>" for part in parts
        )
        body = f"<CompleteMultipartUpload>{named}</CompleteMultipartUpload>".encode()
        # S3 answers 200 before it has joined the parts, and tells a fault in the body.
        await self._ask("POST", key, {"uploadId": upload_id}, body, timeout=_COMPLETE)

    async def abort(self, key: str, upload_id: str) -> None:
        """Forget an upload and its parts."""
        await self._ask("DELETE", key, {"uploadId": upload_id})

    def forget_older(self, prefix: str, seconds: int) -> int:
        """Abort uploads below a prefix that were begun longer ago; how many. At most 1,000 at a time. Blocks."""
        before = datetime.now(UTC) - timedelta(seconds=seconds)
        count = 0
        with httpx.Client(timeout=_CONTROL) as client:
            url = self._url("GET", "", {"uploads": "", "prefix": prefix}, {}, self._bucket.endpoint, _OWN_URL_S)
            answer = client.get(url).raise_for_status()
            for upload in ElementTree.fromstring(answer.content).iterfind("{*}Upload"):
                begun = datetime.fromisoformat(upload.findtext("{*}Initiated", "").replace("Z", "+00:00"))
                key, upload_id = upload.findtext("{*}Key", ""), upload.findtext("{*}UploadId", "")
                if begun < before:
                    old = self._url("DELETE", key, {"uploadId": upload_id}, {}, self._bucket.endpoint, _OWN_URL_S)
                    client.delete(old).raise_for_status()
                    count += 1
        return count

    def _url(
        self, method: str, key: str, query: Mapping[str, str], headers: Mapping[str, str], endpoint: str, expires_s: int
    ) -> str:
        url = f"{endpoint.rstrip('/')}/{self._bucket.name}" + (f"/{quote(key, safe='/-_.~')}" if key else "")
        return signed(method, url, query, headers, self._credentials, self._bucket.region, datetime.now(UTC), expires_s)

    async def _ask(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        content: bytes | AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: httpx.Timeout = _CONTROL,
        unsigned: bool = False,
    ) -> httpx.Response:
        """S3's answer to one request. unsigned: the headers are sent but not part of the signature."""
        headers = headers or {}
        url = self._url(method, key, query, {} if unsigned else headers, self._bucket.endpoint, _OWN_URL_S)
        try:
            transport = httpx.AsyncHTTPTransport(retries=2)
            async with httpx.AsyncClient(timeout=timeout, transport=transport) as client:
                answer = await client.request(method, url, content=content, headers=dict(headers))
        except httpx.HTTPError as error:
            said = str(error) or type(error).__name__
            raise unavailable(f"The artifact store at {self._bucket.endpoint} does not answer: {said}") from error
        if answer.status_code >= 300 or b"<Error>" in answer.content[:1000]:
            raise self._fault(answer, query.get("uploadId", ""))
        return answer

    def _fault(self, answer: httpx.Response, upload_id: str) -> ApiError:
        code = _tag(answer.text, "Code") or f"HTTP {answer.status_code}"
        said = f"{code}: {_tag(answer.text, 'Message') or answer.reason_phrase}"
        if code == "NoSuchUpload" or (answer.status_code == 404 and code != "NoSuchBucket"):
            return no_upload(upload_id)
        if code in _CLIENTS_FAULTS:
            return invalid(f"The artifact store does not take these parts: {said}")
        return unavailable(f"The artifact store's bucket {self._bucket.name!r} refused: {said}")


def _found(answer: httpx.Response, name: str) -> str:
    value = _tag(answer.text, name)
    if not value:
        raise unavailable(f"The artifact store's answer lacks {name}")
    return value


def _tag(text: str, name: str) -> str:
    found = re.search(f"<{name}>([^<]*)</{name}>", text)
    return found[1] if found else ""
