"""Cases of data held against a schema: `record_enforcement.py` asks stock MLflow about each, our test asks us.

A case has a name, a schema in MLflow's JSON, and a function that makes its data. `described` says in plain JSON what
became of the data, the same way for both.
"""

import datetime as dt
import decimal
import json

import numpy as np
import pandas as pd

TYPES = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime")


def series(values, dtype=None):
    return pd.Series(values, dtype=dtype)


COLUMNS = {
    "bool": lambda: series([True, False]),
    "int8": lambda: series([1, 2], "int8"),
    "int16": lambda: series([1, 2], "int16"),
    "int32": lambda: series([1, 2], "int32"),
    "int64": lambda: series([1, 2], "int64"),
    "int64 of 0 and 1": lambda: series([0, 1], "int64"),
    "uint8": lambda: series([1, 2], "uint8"),
    "uint32": lambda: series([1, 2], "uint32"),
    "uint64": lambda: series([1, 2], "uint64"),
    "float16": lambda: series([1, 2], "float16"),
    "float32": lambda: series([1.5, 2], "float32"),
    "float64": lambda: series([1.5, 2]),
    "float64 whole": lambda: series([1.0, 2.0]),
    "float64 with NaN": lambda: series([1.0, np.nan]),
    "complex": lambda: series([1j, 2]),
    "str": lambda: series(["a", "b"]),
    "str of numbers": lambda: series(["1", "2.5"]),
    "str with None": lambda: series(["a", None]),
    "ISO str": lambda: series(["2020-01-01", "2021-01-01"]),
    "object str": lambda: series(["a", "b"], object),
    "object int": lambda: series([1, 2], object),
    "object float": lambda: series([1.5, 2.5], object),
    "object bool": lambda: series([True, False], object),
    "object bool with None": lambda: series([True, None], object),
    "object int with None": lambda: series([1, None], object),
    "object mixed": lambda: series([1, "a"], object),
    "object Decimal": lambda: series([decimal.Decimal("1.5"), decimal.Decimal(2)], object),
    "object dates": lambda: series([dt.date(2020, 1, 1), dt.date(2021, 1, 1)], object),
    "bytes": lambda: series([b"a", b"b"]),
    "datetime64[ns]": lambda: pd.Series(np.array(["2020-01-01", "2021-01-01"], "datetime64[ns]")),
    "datetime64[us]": lambda: pd.Series(np.array(["2020-01-01", "2021-01-01"], "datetime64[us]")),
    "datetime64[s] with NaT": lambda: pd.Series(np.array(["2020-01-01", "NaT"], "datetime64[s]")),
    "datetime64[ns, UTC]": lambda: pd.Series(pd.to_datetime(["2020-01-01", "2021-01-01"], utc=True)),
    "timedelta64": lambda: pd.Series(np.array([1, 2], "timedelta64[s]")),
    "all None": lambda: series([None, None], object),
    "category of str": lambda: series(["a", "b"], "category"),
    "category of int": lambda: series([1, 2], "category"),
    "Int8": lambda: series([1, 2], "Int8"),
    "Int32": lambda: series([1, 2], "Int32"),
    "Int64": lambda: series([1, 2], "Int64"),
    "Int64 with NA": lambda: series([1, None], "Int64"),
    "Int32 with NA": lambda: series([1, None], "Int32"),
    "UInt8": lambda: series([1, 2], "UInt8"),
    "Float32": lambda: series([1.5, 2], "Float32"),
    "Float64": lambda: series([1.5, 2], "Float64"),
    "Float64 with NA": lambda: series([1.5, None], "Float64"),
    "boolean": lambda: series([True, False], "boolean"),
    "boolean with NA": lambda: series([True, None], "boolean"),
    "string": lambda: series(["a", "b"], "string"),
    "string with NA": lambda: series(["a", None], "string"),
    "lists": lambda: pd.Series([[1], [2]]),
    "empty float64": lambda: series([], "float64"),
    "empty object": lambda: series([], object),
}

DOUBLES = [{"type": "double", "name": "a", "required": True}, {"type": "double", "name": "b", "required": True}]
OPTIONAL = [{"type": "double", "name": "a", "required": True}, {"type": "long", "name": "b", "required": False}]
UNNAMED = [{"type": "double"}, {"type": "double"}]
ONE = [{"type": "string"}]
ONE_NAMED = [{"type": "string", "name": "t", "required": True}]
TENSOR = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]
FLAT = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]
CUBE = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2, 2]}}]
RAGGED = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, -1]}}]
TEXTS = [{"type": "tensor", "tensor-spec": {"dtype": "str", "shape": [-1]}}]
OBJECTS = [{"type": "tensor", "tensor-spec": {"dtype": "object", "shape": [-1]}}]
TENSORS = [
    {"name": "x", "type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}},
    {"name": "y", "type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}},
]
TENSOR_NAMED = [{"name": "x", "type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]
LONGS = [{"type": "array", "items": {"type": "long"}, "name": "l", "required": True}]
STRINGS = [{"type": "array", "items": {"type": "string"}, "name": "l", "required": True}]
NESTED = [{"type": "array", "items": {"type": "array", "items": {"type": "double"}}, "name": "l", "required": True}]
LISTS_OPTIONAL = [{"type": "array", "items": {"type": "long"}, "name": "l", "required": False}]
OBJECT = [
    {
        "type": "object",
        "properties": {"k": {"type": "string", "required": True}, "n": {"type": "long", "required": False}},
        "name": "o",
        "required": True,
    }
]
MAP = [{"type": "map", "values": {"type": "long"}, "name": "m", "required": True}]
ANY = [{"type": "any", "name": "x", "required": True}]


def frame(**columns):
    return pd.DataFrame(columns)


STRUCTURE = [
    ("as the schema", DOUBLES, lambda: frame(a=[1.5, 2.0], b=[3.0, 4.0])),
    ("another order", DOUBLES, lambda: frame(b=[3.0, 4.0], a=[1.5, 2.0])),
    ("one more column", DOUBLES, lambda: frame(a=[1.5], b=[3.0], c=["x"])),
    ("one column less", DOUBLES, lambda: frame(a=[1.5])),
    ("an index of its own", DOUBLES, lambda: pd.DataFrame({"a": [1.5, 2.0], "b": [3.0, 4.0]}, index=[7, 9])),
    ("no rows", DOUBLES, lambda: frame(a=np.zeros(0), b=np.zeros(0))),
    ("a dict of scalars", DOUBLES, lambda: {"a": 1.5, "b": 2.5}),
    ("a dict of lists", DOUBLES, lambda: {"a": [1.5, 2.0], "b": [2.5, 3.0]}),
    ("a dict of arrays", DOUBLES, lambda: {"a": np.array([1.5, 2.0]), "b": np.array([2.5, 3.0])}),
    ("a dict of lists of two lengths", DOUBLES, lambda: {"a": [1.5, 2.0], "b": [2.5]}),
    ("a dict of ints", DOUBLES, lambda: {"a": [3, 4], "b": [5, 6]}),
    ("a list of dicts", DOUBLES, lambda: [{"a": 1.5, "b": 2.5}, {"a": 2.5, "b": 3.5}]),
    ("a list of lists", DOUBLES, lambda: [[1.5, 2.5]]),
    ("a matrix", DOUBLES, lambda: np.array([[1.5, 2.5]])),
    ("a number", DOUBLES, lambda: 1.5),
    ("None", DOUBLES, lambda: None),
    ("a Series", DOUBLES, lambda: pd.Series([1.5, 2.5], name="a")),
    ("optional there", OPTIONAL, lambda: frame(a=[1.5], b=[3])),
    ("optional not there", OPTIONAL, lambda: frame(a=[1.5])),
    ("unnamed: a frame", UNNAMED, lambda: frame(a=[1.5], b=[2.5])),
    ("unnamed: more columns", UNNAMED, lambda: frame(a=[1.5], b=[2.5], c=["x"])),
    ("unnamed: fewer columns", UNNAMED, lambda: frame(a=[1.5])),
    ("unnamed: a matrix", UNNAMED, lambda: np.array([[1.5, 2.5], [2.5, 3.5]])),
    ("unnamed: a list of lists", UNNAMED, lambda: [[1.5, 2.5], [2.5, 3.5]]),
    ("unnamed: ints", UNNAMED, lambda: np.array([[4, 5]])),
    ("one unnamed: a text", ONE, lambda: "a"),
    ("one unnamed: texts", ONE, lambda: ["a", "b"]),
    ("one unnamed: an array", ONE, lambda: np.array(["a", "b"])),
    ("one unnamed: a Series", ONE, lambda: pd.Series(["a", "b"])),
    ("one named: a text", ONE_NAMED, lambda: "a"),
    ("one named: a Series of that name", ONE_NAMED, lambda: pd.Series(["a", "b"], name="t")),
    ("one named: a dict of a list", ONE_NAMED, lambda: {"t": ["a", "b"]}),
    ("one named: a dict of a text", ONE_NAMED, lambda: {"t": "a"}),
    ("one named: a dict of an array of no dimension", ONE_NAMED, lambda: {"t": np.array("a")}),
    ("tensor: an array", TENSOR, lambda: np.zeros((3, 2))),
    ("tensor: no rows", TENSOR, lambda: np.zeros((0, 2))),
    ("tensor: float32", TENSOR, lambda: np.zeros((3, 2), "float32")),
    ("tensor: int64", TENSOR, lambda: np.zeros((3, 2), "int64")),
    ("tensor: wrong width", TENSOR, lambda: np.zeros((3, 3))),
    ("tensor: one dimension less", TENSOR, lambda: np.zeros(2)),
    ("tensor: a list", TENSOR, lambda: [[0.0, 0.0]]),
    ("tensor: a frame", TENSOR, lambda: frame(a=[1.5], b=[2.5])),
    ("tensor: a frame of three", TENSOR, lambda: frame(a=[1.5], b=[2.5], c=[3.5])),
    ("tensor: a frame of ints", TENSOR, lambda: frame(a=[1], b=[2])),
    ("tensor: an empty frame", TENSOR, lambda: frame(a=[], b=[])),
    ("tensor: a frame of lists", TENSOR, lambda: frame(a=[[1.5, 2.5], [3.5, 4.5]])),
    ("tensor: a frame of int lists", TENSOR, lambda: frame(a=[[1, 2], [3, 4]])),
    ("tensor: a frame of lists of two lengths", TENSOR, lambda: frame(a=[[1.5, 2.5], [3.5]])),
    ("tensor: a frame of arrays", TENSOR, lambda: frame(a=[np.array([1.5, 2.5]), np.array([3.5, 4.5])])),
    ("tensor: a dict", TENSOR, lambda: {"a": np.zeros((3, 2))}),
    ("flat tensor: a frame of one column", FLAT, lambda: frame(a=[1, 2])),
    ("flat tensor: a Series", FLAT, lambda: pd.Series([1.5, 2.5])),
    ("cube: a frame of flat lists", CUBE, lambda: frame(a=[[1.0, 2.0, 3.0, 4.0]])),
    ("cube: an array", CUBE, lambda: np.zeros((1, 2, 2))),
    ("ragged: an array of objects", RAGGED, lambda: np.array([np.zeros(2), np.zeros(3)], dtype=object)),
    ("ragged: a matrix", RAGGED, lambda: np.zeros((2, 5))),
    ("texts: an array", TEXTS, lambda: np.array(["a", "bc"])),
    ("texts: objects", TEXTS, lambda: np.array(["a", "bc"], dtype=object)),
    ("objects: anything", OBJECTS, lambda: np.zeros((3, 2))),
    ("tensors: a dict", TENSORS, lambda: {"x": np.zeros((3, 2)), "y": np.zeros(3, "int64")}),
    ("tensors: one more", TENSORS, lambda: {"x": np.zeros((3, 2)), "y": np.zeros(3, "int64"), "z": np.zeros(1)}),
    ("tensors: one missing", TENSORS, lambda: {"x": np.zeros((3, 2))}),
    ("tensors: one of another dtype", TENSORS, lambda: {"x": np.zeros((3, 2)), "y": np.zeros(3)}),
    ("tensors: a dict of lists", TENSORS, lambda: {"x": [[0.0, 0.0]], "y": [1]}),
    ("tensors: an array", TENSORS, lambda: np.zeros((3, 2))),
    ("tensors: a frame", TENSORS, lambda: frame(x=[[1.5, 2.5], [2.5, 3.5]], y=[1, 2])),
    ("one named tensor: an array", TENSOR_NAMED, lambda: np.zeros((3, 2))),
    ("one named tensor: a dict", TENSOR_NAMED, lambda: {"x": np.zeros((3, 2))}),
    ("array: lists", LONGS, lambda: frame(l=[[1, 2], [3]])),
    ("array: an array", LONGS, lambda: frame(l=[np.array([1, 2]), np.array([3])])),
    ("array: empty", LONGS, lambda: frame(l=[[], [3]])),
    ("array: doubles", LONGS, lambda: frame(l=[[1.5]])),
    ("array: texts", LONGS, lambda: frame(l=[["a"]])),
    ("array: a scalar", LONGS, lambda: frame(l=[1])),
    ("array: None", LONGS, lambda: frame(l=[[1], None])),
    ("array: a dict of one list", LONGS, lambda: {"l": [1, 2]}),
    ("array optional: None", LISTS_OPTIONAL, lambda: frame(l=[[1], None])),
    ("array optional: not there", LISTS_OPTIONAL, lambda: frame(z=[1])),
    ("array of strings: texts", STRINGS, lambda: frame(l=[["a", "b"]])),
    ("array of strings: ints", STRINGS, lambda: frame(l=[[1, 2]])),
    ("array of strings: mixed", STRINGS, lambda: frame(l=[[1, "b"]])),
    ("nested: lists", NESTED, lambda: frame(l=[[[1.5], [2.5, 3.5]]])),
    ("nested: ints", NESTED, lambda: frame(l=[[[2, 3]]])),
    ("nested: flat", NESTED, lambda: frame(l=[[1.5]])),
    ("object: whole", OBJECT, lambda: frame(o=[{"k": "a", "n": 1}])),
    ("object: without the optional", OBJECT, lambda: frame(o=[{"k": "a"}])),
    ("object: None for the optional", OBJECT, lambda: frame(o=[{"k": "a", "n": None}])),
    ("object: without the required", OBJECT, lambda: frame(o=[{"n": 1}])),
    ("object: one too many", OBJECT, lambda: frame(o=[{"k": "a", "z": 1}])),
    ("object: a wrong type", OBJECT, lambda: frame(o=[{"k": 1}])),
    ("object: no dict", OBJECT, lambda: frame(o=["a"])),
    ("object: a dict for the row", OBJECT, lambda: {"o": {"k": "a"}}),
    ("map: whole", MAP, lambda: frame(m=[{"a": 1, "b": 2}, {}])),
    ("map: a wrong type", MAP, lambda: frame(m=[{"a": "x"}])),
    ("map: a key that is no text", MAP, lambda: frame(m=[{1: 1}])),
    ("any: whatever", ANY, lambda: frame(x=[1, "a", None, [1]])),
]

CASES = [
    (
        f"{kind} column: {name}",
        [{"type": kind, "name": "x", "required": True}],
        lambda make=make: pd.DataFrame({"x": make()}),
    )
    for kind in TYPES
    for name, make in COLUMNS.items()
] + STRUCTURE

PARAMS = [
    {"name": "n", "type": "long", "default": 3, "shape": None},
    {"name": "x", "type": "double", "default": 0.5, "shape": None},
    {"name": "f", "type": "float", "default": 0.25, "shape": None},
    {"name": "t", "type": "string", "default": "a", "shape": None},
    {"name": "b", "type": "boolean", "default": True, "shape": None},
    {"name": "when", "type": "datetime", "default": "2020-01-01T00:00:00", "shape": None},
    {"name": "ls", "type": "double", "default": [1.0, 2.0], "shape": [-1]},
    {"name": "ss", "type": "string", "default": ["a"], "shape": [-1]},
]
PARAM_CASES = {
    "none": None,
    "empty": {},
    "an int for the long": {"n": 5},
    "an int32 for the long": {"n": np.int32(5)},
    "a float for the long": {"n": 2.5},
    "a whole float for the long": {"n": 2.0},
    "a bool for the long": {"n": True},
    "a text for the long": {"n": "5"},
    "None for the long": {"n": None},
    "an int for the double": {"x": 2},
    "a float32 for the double": {"x": np.float32(0.5)},
    "a text for the double": {"x": "x"},
    "a float for the float": {"f": 0.125},
    "an int for the float": {"f": 1},
    "a number for the text": {"t": 1},
    "a text for the bool": {"b": "true"},
    "an int for the bool": {"b": 1},
    "an ISO text for the datetime": {"when": "2021-05-05T10:00:00"},
    "a date for the datetime": {"when": dt.date(2021, 5, 5)},
    "a number for the datetime": {"when": 5},
    "rubbish for the datetime": {"when": "rubbish"},
    "a list for the list": {"ls": [3.0]},
    "an array for the list": {"ls": np.array([3.0, 4.0])},
    "ints for the list": {"ls": [3, 4]},
    "a scalar for the list": {"ls": 3.0},
    "a matrix for the list": {"ls": [[3.0]]},
    "an empty list": {"ls": []},
    "a list for the scalar": {"x": [1.0]},
    "numbers for the texts": {"ss": [1]},
    "unknown": {"zz": 1, "n": 4},
    "a key that is no text": {7: 1},
    "no dict": [1],
}


INFERRED = {
    **{f"a column of {name}": lambda make=make: pd.DataFrame({"x": make()}) for name, make in COLUMNS.items()},
    "a frame": lambda: frame(a=[1.5], b=[1], c=["x"], d=[True]),
    "a frame without names": lambda: pd.DataFrame([[1.5, 2]]),
    "a frame of lists": lambda: frame(l=[[1, 2], [3]]),
    "a frame of lists of lists": lambda: frame(l=[[[1.5]], [[2.5], []]]),
    "a frame of dicts": lambda: frame(o=[{"k": "a", "n": 1}, {"k": "b"}]),
    "a frame of dicts of lists": lambda: frame(o=[{"k": ["a"]}, {"k": []}]),
    "a frame of arrays": lambda: frame(v=[np.zeros(2), np.zeros(2)]),
    "a frame with a list missing": lambda: frame(l=[[1], None]),
    "a Series": lambda: pd.Series([1.5, 2.5], name="s"),
    "a Series without a name": lambda: pd.Series([1, 2]),
    "a matrix": lambda: np.zeros((3, 2)),
    "a vector of float32": lambda: np.zeros(3, "float32"),
    "images": lambda: np.zeros((3, 4, 4, 1), "uint8"),
    "an array of texts": lambda: np.array(["a", "bcd"]),
    "an array of bytes": lambda: np.array([b"a", b"bcd"]),
    "an array of objects": lambda: np.array(["a", None], dtype=object),
    "an array of no dimension": lambda: np.array(1.5),
    "a dict of arrays": lambda: {"x": np.zeros((3, 2)), "y": np.zeros(3, "int64")},
    "a dict of lists": lambda: {"a": [1, 2], "b": ["x"]},
    "a dict of scalars": lambda: {"a": 1, "b": "x", "c": 1.5, "d": True, "e": b"x"},
    "a dict with None": lambda: {"a": 1, "b": None},
    "a dict of dicts": lambda: {"a": {"k": 1, "l": ["x", "y"]}},
    "a list of dicts": lambda: [{"a": 1, "b": "x"}, {"a": 2}],
    "a list of dicts with None": lambda: [{"a": 1, "b": "x"}, {"a": 2, "b": None}],
    "a list of texts": lambda: ["a", "b"],
    "a list of numbers": lambda: [1.5, 2.5],
    "a list of ints and None": lambda: [1, None],
    "a list of lists": lambda: [[1, 2], [3]],
    "a list of mixtures": lambda: [1, "a"],
    "an empty list": list,
    "a list of None": lambda: [None],
    "an empty dict": dict,
    "a text": lambda: "a",
    "an int": lambda: 3,
    "a bool": lambda: True,
    "a float32": lambda: np.float32(1.5),
    "a datetime": lambda: dt.datetime(2020, 1, 1),
    "something else": lambda: object(),
}
INFERRED_PARAMS = {
    "scalars": {"n": 1, "x": 1.5, "t": "a", "b": True},
    "numpy's scalars": {"n": np.int32(1), "x": np.float32(0.5)},
    "lists": {"l": [1, 2], "t": ["a", "b"], "x": [1.5]},
    "an array": {"v": np.array([1.5, 2.5])},
    "a datetime": {"when": dt.datetime(2020, 1, 1)},
    "a date": {"when": dt.date(2020, 1, 1)},
    "a dict": {"d": {"k": 1}},
    "None": {"n": None},
    "a list of lists": {"l": [[1]]},
    "bytes": {"b": b"x"},
}


def described(value):
    """In plain JSON: what a result is and holds."""
    if isinstance(value, pd.DataFrame):
        columns = {str(name): [str(value[name].dtype), [one_of(one) for one in value[name]]] for name in value.columns}
        return {"frame": columns, "index": [one_of(one) for one in value.index]}
    if isinstance(value, np.ndarray):
        return {"array": str(value.dtype), "shape": list(value.shape), "values": [one_of(one) for one in value.ravel()]}
    if isinstance(value, dict):
        return {"dict": {str(name): described(one) for name, one in value.items()}}
    return one_of(value)


def one_of(value):
    """In plain JSON: one value, without the difference between Python's and numpy's numbers."""
    if isinstance(value, (list, tuple)):
        return [one_of(one) for one in value]
    if isinstance(value, np.ndarray):
        return one_of(value.tolist())
    if isinstance(value, dict):
        return {str(name): one_of(one) for name, one in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (bytes, complex, decimal.Decimal)):
        return repr(value)
    if isinstance(value, (dt.date, dt.timedelta)) or value is pd.NaT:
        return str(value)
    if value is pd.NA:
        return "NA"
    if isinstance(value, float) and value != value:
        return "NaN"
    return value


def schema_json(schema):
    return json.dumps(schema)
