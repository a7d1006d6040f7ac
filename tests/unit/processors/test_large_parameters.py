"""Large parameters travel in parts that a server takes, and are what they were."""

from __future__ import annotations

from headrace.processors.large_parameters import PART_BYTES_MAX, in_parts


def test_small_parameters_travel_as_they_are() -> None:
    parameters = {"a": "x", "b": ["x"], "n": 1}
    assert in_parts("SELECT {a:String}, {b:Array(String)}, {n:UInt64}", parameters) == (
        "SELECT {a:String}, {b:Array(String)}, {n:UInt64}",
        parameters,
    )


def test_parts_make_the_whole_and_none_is_large() -> None:
    values = {
        "texts": [f"é{i}" * 10 for i in range(5_000)],
        "numbers": [0.5] * 5_000,
        "text": "é" * 50_000,
        "one": ["x" * 50_000, "y" * 59_000, ""],
    }
    kinds = {"text": "String", "numbers": "Array(Float64)"}
    sql = ", ".join(f"{{{name}:{kinds.get(name, 'Array(String)')}}}" for name in (*values, "texts"))
    split, parameters = in_parts(sql, values)
    for name, value in values.items():
        parts = [v for x, v in parameters.items() if x.startswith(f"{name}_part")]
        whole = "".join(parts) if isinstance(value, str) else [x for part in parts for x in part]
        assert whole == value
        assert f"{{{name}_part{len(parts) - 1}:" in split
        assert f"{{{name}:" not in split
        for part in parts:
            items = [part] if isinstance(part, str) else part
            assert sum(len(str(x).encode()) + 4 for x in items) <= PART_BYTES_MAX + 4
