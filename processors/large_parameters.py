"""Parameters of a query that are larger than a ClickHouse server lets one be: they travel in parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

PART_BYTES_MAX = 60_000
"""A server takes 131,072 bytes for one (http_max_field_value_size), and escaping can double a text."""

_PLACEHOLDER = re.compile(r"\{(\w+):([A-Za-z0-9]+(?:\([A-Za-z0-9]+\))?)\}")


def in_parts(sql: str, parameters: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The same query with each large list or text as several, joined by the server: constants, as the one would be."""
    large = {name: parts for name, value in parameters.items() if len(parts := list(_parts(value))) > 1}
    if not large:
        return sql, parameters

    def joined(match: re.Match[str]) -> str:
        name, kind = match.groups()
        if name not in large:
            return match[0]
        join = "concat" if kind == "String" else "arrayConcat"
        return f"{join}({', '.join(f'{{{name}_part{i}:{kind}}}' for i in range(len(large[name])))})"

    split = {f"{name}_part{i}": part for name, parts in large.items() for i, part in enumerate(parts)}
    return _PLACEHOLDER.sub(joined, sql), {x: v for x, v in parameters.items() if x not in large} | split


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, str):
        # A character has up to 4 bytes.
        size = len(value) if value.isascii() else 4 * len(value)
        step = PART_BYTES_MAX if value.isascii() else PART_BYTES_MAX // 4
        if size <= PART_BYTES_MAX:
            yield value
        else:
            yield from (value[i : i + step] for i in range(0, len(value), step))
    elif isinstance(value, list):
        start = size = 0
        for i, item in enumerate(value):
            more = (len(item.encode("utf-8", "surrogatepass")) if isinstance(item, str) else 24) + 4
            if size + more > PART_BYTES_MAX and i > start:
                yield value[start:i]
                start, size = i, 0
            size += more
        yield value[start:]
    else:
        yield value
