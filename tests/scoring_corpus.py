"""Bodies for a scoring server, good and bad, and the models they are for; read by ours and by stock MLflow.

Nothing of Headrace or of MLflow is imported here: `tests/golden_sources/write_scoring.py` asks stock MLflow in its own
environment, and `tests/unit/sdk/serving/test_corpus.py` asks ours.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

JSON = "application/json"
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"


def columns(**types: str) -> list[dict[str, Any]]:
    """A schema's JSON of named columns; a type that ends in ? is optional."""
    return [{"type": kind.rstrip("?"), "name": name, "required": kind[-1] != "?"} for name, kind in types.items()]


def tensor(dtype: str, *shape: int, name: str | None = None) -> dict[str, Any]:
    """A tensor of a schema's JSON."""
    named = {} if name is None else {"name": name}
    return named | {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}}


MODELS: dict[str, dict[str, Any] | None] = {
    "numbers": {"inputs": columns(a="double", b="double")},
    "typed": {
        "inputs": columns(
            l="long", i="integer", d="double", f="float", b="boolean", s="string", t="datetime", y="binary"
        )
    },
    "long": {"inputs": columns(l="long")},
    "optional": {"inputs": columns(a="double", b="long?", s="string?")},
    "unnamed": {"inputs": [{"type": "double", "required": True}, {"type": "double", "required": True}]},
    "one": {"inputs": [{"type": "string", "required": True}]},
    "tensor": {"inputs": [tensor("float32", -1, 3)]},
    "tensors": {"inputs": [tensor("float32", -1, 2, name="x"), tensor("int64", -1, name="y")]},
    "nested": {
        "inputs": [
            {"type": "array", "items": {"type": "double"}, "name": "v", "required": True},
            {
                "type": "object",
                "properties": {"p": {"type": "string", "required": True}, "q": {"type": "long", "required": False}},
                "name": "o",
                "required": True,
            },
        ]
    },
    "params": {
        "inputs": columns(a="double"),
        "params": [
            {"name": "threshold", "type": "double", "default": 0.5, "shape": None},
            {"name": "size", "type": "long", "default": 3, "shape": None},
            {"name": "names", "type": "string", "default": ["x"], "shape": [-1]},
        ],
    },
    "unsigned": None,
    "answers": None,
}
"""Each model's signature. All but the last describe what they are given; "answers" gives what it is asked for."""


class Case(NamedTuple):
    """One request. name: of the case. model: one of MODELS."""

    name: str
    model: str
    body: bytes
    content_type: str | None = JSON


def _json(name: str, model: str, **body: Any) -> Case:
    return Case(name, model, json.dumps(body).encode())


def _split(name: str, model: str, names: list[Any] | None, *rows: list[Any], **more: Any) -> Case:
    table = {"data": list(rows)} if names is None else {"columns": names, "data": list(rows)}
    return _json(name, model, dataframe_split=table, **more)


def _parquet(**values: list[Any]) -> bytes:
    import pandas as pd

    file = io.BytesIO()
    pd.DataFrame(values).to_parquet(file)
    return file.getvalue()


TYPED = ["l", "i", "d", "f", "b", "s", "t", "y"]
GOOD_ROW: list[Any] = [1, 2, 1.5, 0.5, True, "x", "2020-01-02T03:04:05", "MA=="]


def typed(name: str, column: str, value: Any) -> Case:
    """A row that is good but for one cell."""
    row = [value if each == column else cell for each, cell in zip(TYPED, GOOD_ROW, strict=True)]
    return _split(f"typed: {name}", "typed", TYPED, row)


def cases() -> Iterator[Case]:
    """Every request, in an order that stays."""
    yield from _whole_bodies()
    yield from _content_types()
    yield from _tables()
    yield from _cells()
    yield from _instances_and_inputs()
    yield from _tensors()
    yield from _params()
    yield from _nested()
    yield from _answers()


def _whole_bodies() -> Iterator[Case]:
    for name, body in {
        "empty": b"", "blank": b" \n", "an array": b"[[1, 2]]", "a number": b"1", "a string": b'"x"', "null": b"null",
        "cut short": b'{"inputs": [1', "no JSON": b"a=1&b=2", "not UTF-8": b"\xff\xfe{}",
        "not UTF-8 in a string": b'{"dataframe_split": {"columns": ["a", "b"], "data": [["\xff", 1]]}}',
        "no field": b"{}", "an unknown field alone": b'{"rows": [[1, 2]]}',
        "nested too deep": b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "bare NaN": b'{"dataframe_split": {"columns": ["a", "b"], "data": [[NaN, Infinity]]}}',
        "a huge number": b'{"dataframe_split": {"columns": ["a", "b"], "data": [[1e400, 1]]}}',
        "a number of 5000 digits": b'{"dataframe_split": {"columns": ["a", "b"], "data": [[' + b"1" * 5000 + b", 1]]}}",
        "a key twice": b'{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]], "data": [[3, 4]]}}',
        "a byte order mark": b'\xef\xbb\xbf{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}}',
        "a lone surrogate": b'{"dataframe_split": {"columns": ["a", "b"], "data": [["\\ud800", 2]]}}',
    }.items():  # fmt: skip
        yield Case(f"body: {name}", "numbers", body)
    yield _json("body: two fields", "numbers", dataframe_records=[{"a": 1, "b": 2}], inputs=[[1, 2]])
    yield _json("body: an unknown field beside", "numbers", dataframe_records=[{"a": 1, "b": 2}], more=1)
    yield _json("body: of a chat", "unsigned", messages=[{"role": "user", "content": "x"}], temperature=0.5)
    yield _json("body: of a completion", "unsigned", prompt="x", inputs=[1])
    yield _json("body: of an embedding", "numbers", input=["x"])


def _content_types() -> Iterator[Case]:
    good = b'{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}}'
    for content_type in (
        None, "", "application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8",
        "application/json; charset=latin-1", "application/json; format=pandas-split", "Application/JSON",
        "text/plain", "application/x-www-form-urlencoded", "application/vnd.apache.arrow.stream",
    ):  # fmt: skip
        yield Case(f"content type: {content_type}", "numbers", good, content_type)
    for name, text in {
        "good": "a,b\n1,2\n3.5,4\n", "reordered": "b,a\n2,1\n", "with an index": ",a,b\n0,1,2\n",
        "extra": "a,b,c\n1,2,3\n",
        "missing": "a\n1\n", "no rows": "a,b\n", "empty": "", "text": "a,b\nx,2\n", "a gap": "a,b\n,2\n",
        "ragged": "a,b\n1,2\n1,2,3\n", "quotes open": 'a,b\n"1,2\n',
    }.items():  # fmt: skip
        yield Case(f"csv: {name}", "numbers", text.encode(), CSV)
    yield Case("csv: not UTF-8", "numbers", b"a,b\n\xff,1\n", CSV)
    yield Case("csv: typed", "typed", b"l,i,d,f,b,s,t,y\n1,2,1.5,0.5,True,x,2020-01-02,MA==\n", CSV)
    yield Case("csv: a fraction for a long", "long", b"l\n3.5\n", CSV)
    yield Case("csv: unsigned", "unsigned", b"a,b\n1,x\n", CSV)
    yield Case("csv: a tensor", "tensor", b"a,b,c\n1,2,3\n", CSV)
    yield Case("parquet: good", "numbers", _parquet(a=[1.0, 3.5], b=[2.0, 4.0]), PARQUET)
    yield Case("parquet: integers for doubles", "numbers", _parquet(a=[1], b=[2]), PARQUET)
    yield Case("parquet: missing", "numbers", _parquet(a=[1.0]), PARQUET)
    yield Case("parquet: no Parquet", "numbers", b"a,b\n1,2\n", PARQUET)


def _tables() -> Iterator[Case]:
    ab = ["a", "b"]
    yield _split("split: good", "numbers", ab, [1.5, 2], [3, 4])
    yield _split("split: reordered", "numbers", ["b", "a"], [2, 1])
    yield _split("split: extra", "numbers", ["a", "b", "c"], [1, 2, "x"])
    yield _split("split: missing", "numbers", ["a"], [1])
    yield _split("split: other names", "numbers", ["A", "B"], [1, 2])
    yield _split("split: without columns", "numbers", None, [1, 2])
    yield _split("split: a column twice", "numbers", ["a", "a", "b"], [1, 2, 3])
    yield _split("split: a row too short", "numbers", ab, [1, 2], [1])
    yield _split("split: a row too long", "numbers", ab, [1, 2, 3])
    yield _split("split: no rows", "numbers", ab)
    yield _split("split: rows that are no arrays", "numbers", ["a"], 1, 2)  # type: ignore[arg-type]
    yield _split("split: null", "numbers", ab, [None, 2])
    yield _split("split: numbers as text", "numbers", ab, ["1.5", "2"])
    yield _split("split: text", "numbers", ab, ["x", 2])
    yield _split("split: booleans", "numbers", ab, [True, False])
    yield _split("split: a list in a cell", "numbers", ab, [[1], 2])
    yield _split("split: an object in a cell", "numbers", ab, [{"x": 1}, 2])
    table = {"columns": ab, "index": [7], "data": [[1, 2]]}
    yield _json("split: an index", "numbers", dataframe_split=table)
    yield _json("split: an index too long", "numbers", dataframe_split=table | {"index": [7, 8]})
    yield _json("split: an unknown key", "numbers", dataframe_split=table | {"name": "x"})
    yield _json("split: without data", "numbers", dataframe_split={"columns": ab})
    yield _json("split: an array", "numbers", dataframe_split=[[1, 2]])
    yield _json("split: null", "numbers", dataframe_split=None)
    yield _split("split: unsigned", "unsigned", ab, [1, "x"])
    yield _split("split: unnamed", "unnamed", None, [1, 2])
    yield _split("split: unnamed, with names", "unnamed", ["x", "y"], [1, 2])
    yield _split("split: unnamed, one too few", "unnamed", None, [1])
    yield _split("split: unnamed, one too many", "unnamed", None, [1, 2, 3])
    yield _split("split: optional left out", "optional", ["a"], [1])
    yield _split("split: optional null", "optional", ["a", "b", "s"], [1, None, None])
    yield _split("split: optional there", "optional", ["a", "b", "s"], [1, 2, "x"])
    yield _json("records: good", "numbers", dataframe_records=[{"a": 1, "b": 2}, {"b": 4, "a": 3}])
    yield _json("records: a gap", "numbers", dataframe_records=[{"a": 1, "b": 2}, {"a": 3}])
    yield _json("records: missing", "numbers", dataframe_records=[{"a": 1}])
    yield _json("records: empty", "numbers", dataframe_records=[])
    yield _json("records: an object", "numbers", dataframe_records={"a": [1], "b": [2]})
    yield _json("records: no objects", "numbers", dataframe_records=[[1, 2]])
    yield _json("records: typed", "typed", dataframe_records=[dict(zip(TYPED, GOOD_ROW, strict=True))])


def _cells() -> Iterator[Case]:
    yield typed("good", "", None)
    cells: dict[str, list[Any]] = {
        "l": [3.0, 3.5, "7", "7.5", "x", True, None, 2**63, -(2**63), 1e300, [1]],
        "i": [3.0, 3.5, "7", 2**31, None, True], "d": [1, "1.5", "x", None, 2**60, True], "f": [1, "1.5", 1e300, None],
        "b": [1, 0, 2, "true", "x", None, 0.0], "s": [1, 1.5, None, True, ["x"], ""],
        "t": ["2020-01-02", "x", 5, None, "2020-01-02T03:04:05+01:00", "2020-01-02 03:04", 1.5, True],
        "y": ["", "x", "====", 5, None, "MA", "M A = ="],
    }  # fmt: skip
    for column, values in cells.items():
        for value in values:
            yield typed(f"{column} = {json.dumps(value)}", column, value)


def _instances_and_inputs() -> Iterator[Case]:
    for field in ("instances", "inputs"):
        for name, model, value in [
            ("a matrix for columns", "numbers", [[1, 2]]), ("records", "numbers", [{"a": 1, "b": 2}, {"a": 3, "b": 4}]),
            ("columns", "numbers", {"a": [1, 3], "b": [2, 4]}), ("scalars", "numbers", {"a": 1, "b": 2}),
            ("columns of two lengths", "numbers", {"a": [1, 3], "b": [2]}), ("missing", "numbers", [{"a": 1}]),
            ("an extra column", "numbers", {"a": [1], "b": [2], "c": ["x"]}), ("a scalar", "numbers", 1),
            ("text", "numbers", {"a": ["x"], "b": [1]}), ("numbers as text", "numbers", {"a": ["1.5"], "b": [1]}),
            ("null", "numbers", {"a": [None], "b": [1]}), ("null alone", "numbers", None), ("nothing", "numbers", []),
            ("an empty object", "numbers", {}), ("a fraction for a long", "long", {"l": [3.5]}),
            ("a list for one column", "long", [1, 2]), ("a long", "long", [{"l": 5}]),
            ("typed records", "typed", [dict(zip(TYPED, GOOD_ROW, strict=True))]),
            ("typed columns", "typed", {name: [cell] for name, cell in zip(TYPED, GOOD_ROW, strict=True)}),
            ("optional left out", "optional", [{"a": 1}]), ("optional there", "optional", [{"a": 1, "b": 2, "s": "x"}]),
            ("unnamed, a matrix", "unnamed", [[1, 2]]), ("unnamed, an object", "unnamed", {"a": [1]}),
            ("one column, a list", "one", ["x", "y"]), ("one column, a scalar", "one", "x"),
            ("one column, records", "one", [{"a": "x"}]), ("unsigned, a matrix", "unsigned", [[1, 2], [3, 4]]),
            ("unsigned, columns", "unsigned", {"a": [1, 2], "b": ["x", "y"]}), ("unsigned, a scalar", "unsigned", 5),
            ("unsigned, records", "unsigned", [{"a": 1, "b": [1, 2]}]), ("unsigned, ragged", "unsigned", [[1], [1, 2]]),
            ("unsigned, text", "unsigned", "x"), ("unsigned, null", "unsigned", None),
        ]:  # fmt: skip
            yield _json(f"{field}: {name}", model, **{field: value})
    yield _json("inputs: a signature_name beside", "numbers", inputs={"a": [1], "b": [2]}, signature_name="x")


def _tensors() -> Iterator[Case]:
    for field in ("instances", "inputs"):
        for name, value in {
            "good": [[1, 2, 3]], "two rows": [[1, 2, 3], [4, 5, 6]], "too narrow": [[1, 2]], "flat": [1, 2, 3],
            "ragged": [[1, 2, 3], [1]], "text": [["x", 1, 2]], "numbers as text": [["1.5", 1, 2]],
            "null": [[None, 1, 2]], "nothing": [], "too deep": [[[1, 2, 3]]], "a scalar": 1,
            "an object": {"x": [[1, 2, 3]]}, "beyond float32": [[1e300, 1, 2]], "booleans": [[True, False, True]],
        }.items():  # fmt: skip
            yield _json(f"tensor, {field}: {name}", "tensor", **{field: value})
        for name, value in {
            "good": {"x": [[1, 2]], "y": [3]}, "missing": {"x": [[1, 2]]},
            "a fraction for int64": {"x": [[1, 2]], "y": [3.5]},
            "wrong shape": {"x": [1, 2], "y": [3]}, "extra": {"x": [[1, 2]], "y": [3], "z": [1]},
            "other lengths": {"x": [[1, 2]], "y": [3, 4]}, "a matrix": [[1, 2]], "records": [{"x": [1, 2], "y": 3}],
        }.items():  # fmt: skip
            yield _json(f"tensors, {field}: {name}", "tensors", **{field: value})
    yield _split("tensor, split: good", "tensor", ["a", "b", "c"], [1, 2, 3])
    yield _split("tensor, split: too narrow", "tensor", ["a", "b"], [1, 2])
    yield _json("tensor, records: good", "tensor", dataframe_records=[{"a": 1, "b": 2, "c": 3}])
    yield _split("tensors, split: good", "tensors", ["x", "y"], [[1, 2], 3])


def _params() -> Iterator[Case]:
    for name, params in {
        "none": None, "empty": {}, "one": {"threshold": 0.9}, "an integer for a double": {"threshold": 1},
        "a fraction for a long": {"size": 2.5}, "text for a double": {"threshold": "x"}, "unknown": {"other": 1},
        "a scalar for a list": {"names": "y"}, "a list": {"names": ["y", "z"]}, "a list for a scalar": {"size": [1]},
        "a list of another type": {"names": [1]}, "no object": [1], "null": {"threshold": None}, "a number": 3,
        "a boolean for a long": {"size": True},
    }.items():  # fmt: skip
        yield _split(f"params: {name}", "params", ["a"], [1], params=params)
    yield _split("params: for a model that has none", "numbers", ["a", "b"], [1, 2], params={"x": 1})


def _nested() -> Iterator[Case]:
    for name, v, o in [
        ("good", [1.0, 2.0], {"p": "x", "q": 3}), ("optional left out", [1.0], {"p": "x"}), ("empty", [], {"p": "x"}),
        ("integers for doubles", [1, 2], {"p": "x"}), ("text in the array", ["x"], {"p": "x"}),
        ("no array", 1.0, {"p": "x"}), ("no object", [1.0], "x"), ("a member missing", [1.0], {"q": 3}),
        ("a member too many", [1.0], {"p": "x", "r": 1}), ("a member of another type", [1.0], {"p": "x", "q": "y"}),
        ("null", None, {"p": "x"}), ("a fraction for a long member", [1.0], {"p": "x", "q": 3.5}),
    ]:  # fmt: skip
        yield _split(f"nested, split: {name}", "nested", ["v", "o"], [v, o])
        yield _json(f"nested, inputs: {name}", "nested", inputs=[{"v": v, "o": o}])
        yield _json(f"nested, instances: {name}", "nested", instances=[{"v": v, "o": o}])


ANSWERS = (
    "array", "matrix", "floats", "nan", "text array", "bytes array", "object array", "moments", "frame", "frame of all",
    "frame with gaps", "series", "named series", "dict", "dict of arrays", "list", "scalar", "numpy scalar", "text",
    "bytes", "none", "nested", "tuple", "date", "failure", "no json",
)  # fmt: skip


def _answers() -> Iterator[Case]:
    for name in ANSWERS:
        yield _json(f"answer: {name}", "answers", inputs=name)
    yield _json("answer: of a chat", "answers", input="frame")


def answer(name: str) -> Any:
    """What the model "answers" predicts when it is asked for one of ANSWERS."""
    import datetime

    import numpy as np
    import pandas as pd

    def fail() -> Any:
        raise ValueError("it cannot be told")

    answers: dict[str, Callable[[], Any]] = {
        "array": lambda: np.array([1, 2]),
        "matrix": lambda: np.array([[1.5, 2.5], [3.5, 4.5]], dtype=np.float32),
        "floats": lambda: np.array([0.1, 1e-7, 1e22]),
        "nan": lambda: np.array([1.0, np.nan, np.inf, -np.inf]),
        "text array": lambda: np.array(["a", "ü"]),
        "bytes array": lambda: np.array([b"0", b"12"]),
        "object array": lambda: np.array([1, "x", None, 2.5, b"0"], dtype=object),
        "moments": lambda: np.array(["2020-01-02T03:04:05"], dtype="datetime64[ns]"),
        "frame": lambda: pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
        "frame of all": lambda: pd.DataFrame(
            {
                "t": pd.to_datetime(["2020-01-02T03:04:05"]),
                "y": [b"0"],
                "l": [[1.0, 2.0]],
                "n": [np.array([1, 2])],
                "b": [True],
                3: [0.5],
            }
        ),
        "frame with gaps": lambda: pd.DataFrame({"a": [1.0, np.nan], "s": ["x", None], "t": [pd.Timestamp(0), pd.NaT]}),
        "series": lambda: pd.Series([1, 2]),
        "named series": lambda: pd.Series([1, 2], name="y"),
        "dict": lambda: {"a": 1, "b": None, "c": {"d": [1, 2.5]}},
        "dict of arrays": lambda: {"a": np.array([1, 2]), "b": np.array([[0.5], [1.5]])},
        "list": lambda: [1, "x", None, True],
        "scalar": lambda: 1.5,
        "numpy scalar": lambda: np.float32(0.5),
        "text": lambda: "x",
        "bytes": lambda: b"0" * 60,
        "none": lambda: None,
        "nested": lambda: [{"a": np.array([1]), "b": [np.int64(2)]}],
        "tuple": lambda: (1, 2),
        "date": lambda: [datetime.date(2020, 1, 2), datetime.datetime(2020, 1, 2, 3, 4, 5, 678)],
        "failure": fail,
        "no json": lambda: object(),
    }
    return answers[name]()


def describe(data: Any, params: Any = None) -> Any:
    """What a model was given, so that two servers can be compared: its kind, names, types and values."""
    import pandas as pd

    said = _described(data)
    if isinstance(data, pd.DataFrame):
        said = {
            "frame": {str(name): [str(data[name].dtype), [_described(cell) for cell in data[name]]] for name in data}
        }
    return {"given": said, "params": None if not params else {name: _described(one) for name, one in params.items()}}


def _described(value: Any) -> Any:
    import datetime

    import numpy as np

    if isinstance(value, np.ndarray):
        return {
            "array": [value.dtype.kind, list(value.shape)],
            "values": [_described(one) for one in value.ravel().tolist()],
        }
    if isinstance(value, dict):
        return {str(name): _described(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_described(one) for one in value]
    if isinstance(value, np.generic):
        return _described(value.item())
    if isinstance(value, datetime.date):
        return f"moment {value.isoformat()}"
    if isinstance(value, bytes):
        return f"bytes {value.hex()}"
    return value if value is None or isinstance(value, str | bool) else f"{type(value).__name__} {value}"
