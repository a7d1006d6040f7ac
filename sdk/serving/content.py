"""What a request says it holds and what it wants back: Content-Type and Accept."""

from __future__ import annotations

import zlib

from headrace.sdk.serving import faults

JSON = "application/json"
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
ARROW = "application/vnd.apache.arrow.stream"
TYPES = (JSON, CSV, PARQUET, ARROW)


def media_type(content_type: str | None) -> str:
    """One of TYPES; JSON when the header is missing or empty.

    Raises Refused (415) for another type, a charset that is not UTF-8, or any other parameter (as
    `format=pandas-split`, with which MLflow 1.x told formats apart).
    """
    if not content_type or content_type == JSON:
        return JSON
    kind, *parameters = (part.strip() for part in content_type.split(";"))
    for parameter in filter(None, parameters):
        name, _, value = parameter.partition("=")
        if name.strip().lower() != "charset":
            raise faults.wrong_type(
                "A Content-Type here has no parameter but charset=utf-8; say the format by the body's field:"
                " dataframe_split, dataframe_records, instances or inputs."
            )
        if value.strip().strip('"').lower() not in ("utf-8", "utf8"):
            raise faults.wrong_type("Only charset=utf-8 is read here.")
    if kind.lower() not in TYPES:
        raise faults.wrong_type(f"The Content-Type must be one of {', '.join(TYPES)}.")
    return kind.lower()


def wants_arrow(accept: str | None) -> bool:
    """Whether the answer is to be an Arrow stream: Accept names it, and not JSON before it."""
    if not accept or ARROW not in accept:
        return False
    named = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return ARROW in named and (JSON not in named or named.index(ARROW) < named.index(JSON))


def decompressed(body: bytes, encoding: str, bytes_max: int) -> bytes:
    """A body of this Content-Encoding: gzip, deflate or identity.

    Raises Refused: 415 for another, 400 for a body that is not of it, 413 when there are more than bytes_max in it.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in ("gzip", "x-gzip", "deflate"):
        raise faults.wrong_type("The Content-Encoding must be gzip, deflate or identity.")
    # 32 more than the window: the header says whether it is gzip or zlib.
    reader = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        read = reader.decompress(body, bytes_max + 1)
    except zlib.error:
        raise faults.bad_request(f"The body is no {name}.") from None
    if len(read) > bytes_max:
        raise faults.too_large(bytes_max)
    if not reader.eof:
        raise faults.bad_request(f"The body is no whole {name}.")
    return read
