"""Signatures of S3 requests are those that AWS and other signers make."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from headrace.api.stores.s3_uploads import Bucket, Credentials, S3Uploads, signed

KEYS = ["plain.txt", "a b/ünï ☃ 100%.bin", "x~-_.!*'()+&=;:@,$#?[]"]
ENDPOINT = "http://127.0.0.1:9000"
CREDENTIALS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "token/+=")


def asked(url: str) -> tuple[str, dict[str, list[str]]]:
    return urlsplit(url).path, parse_qs(urlsplit(url).query, keep_blank_values=True)


def stamp(url: str) -> datetime:
    return datetime.strptime(asked(url)[1]["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def test_the_example_in_the_documentation_of_aws() -> None:
    url = "https://examplebucket.s3.amazonaws.com/test.txt"
    credentials = Credentials(CREDENTIALS.access_key_id, CREDENTIALS.secret_access_key)
    made = signed("GET", url, {}, {}, credentials, "us-east-1", datetime(2013, 5, 24, tzinfo=UTC), 86400)
    assert made.endswith("X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")


@pytest.mark.parametrize("key", KEYS)
def test_a_part_is_signed_as_boto_signs_it(key: str) -> None:
    boto3 = pytest.importorskip("boto3")
    botocore = pytest.importorskip("botocore.config")
    client = boto3.client(
        "s3",
        endpoint_url=ENDPOINT,
        region_name="eu-west-1",
        aws_access_key_id=CREDENTIALS.access_key_id,
        aws_secret_access_key=CREDENTIALS.secret_access_key,
        aws_session_token=CREDENTIALS.token,
        config=botocore.Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    named = {"Bucket": "bucket", "Key": key, "UploadId": "id/+=~", "PartNumber": 3}
    theirs = client.generate_presigned_url("upload_part", named, ExpiresIn=60)
    path, query = asked(theirs)
    ours = signed(
        "PUT",
        f"{ENDPOINT}{path}",
        {"uploadId": "id/+=~", "partNumber": "3"},
        {},
        CREDENTIALS,
        "eu-west-1",
        stamp(theirs),
        60,
    )
    assert asked(ours) == (path, query)
    uploads = S3Uploads(Bucket(ENDPOINT, ENDPOINT, "eu-west-1", "bucket"), CREDENTIALS)
    assert asked(uploads.part_url(key, "id/+=~", 3))[0] == path


@pytest.mark.parametrize("key", KEYS)
def test_a_download_is_signed_as_the_stores_library_signs_it(key: str) -> None:
    obstore = pytest.importorskip("obstore")
    store = pytest.importorskip("obstore.store").S3Store(
        "bucket",
        config={
            "endpoint": ENDPOINT,
            "region": "eu-west-1",
            "access_key_id": CREDENTIALS.access_key_id,
            "secret_access_key": CREDENTIALS.secret_access_key,
            "session_token": CREDENTIALS.token,
        },
        client_options={"allow_http": True},
    )
    theirs = obstore.sign(store, "GET", key, timedelta(seconds=60))
    path, query = asked(theirs)
    ours = signed("GET", f"{ENDPOINT}{path}", {}, {}, CREDENTIALS, "eu-west-1", stamp(theirs), 60)
    assert asked(ours) == (path, query)
