"""Params of predict, held against their schema: defaults filled in, unknown ones dropped with a warning."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np
from headrace.sdk.cleaning import warn_once
from headrace.sdk.models import nested
from headrace.sdk.models.mismatch import SchemaMismatch
from headrace.sdk.models.schema import DataType, ParamSchema, ParamSpec
from headrace.sdk.models.schema import said as in_words

_TAKES: dict[DataType, tuple[type, ...]] = {
    DataType.boolean: (bool, np.bool_),
    DataType.integer: (int, np.int32),
    DataType.long: (int, np.int64, np.int32),
    DataType.float: (float, np.float32, int, np.int64, np.int32),
    DataType.double: (float, np.float64, np.float32, int, np.int64, np.int32),
    DataType.string: (str, np.str_),
}
_PYTHON: dict[DataType, type] = {
    DataType.boolean: bool, DataType.integer: int, DataType.long: int,
    DataType.float: float, DataType.double: float, DataType.string: str,
}  # fmt: skip


class Params:
    """How params are checked for one model, compiled once."""

    def __init__(self, schema: ParamSchema | None) -> None:
        self._specs = None if schema is None else {one.name: one for one in schema}
        self._defaults = {} if schema is None else {one.name: checked(one, one.default) for one in schema}

    def checked(self, given: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """All params with their values, as plain Python has them; None for a model that takes none and was given none.

        Raises SchemaMismatch for a value that does not fit.
        """
        if self._specs is None:
            if not given:
                return None if given is None else {}
            names = ", ".join(map(str, given)) if isinstance(given, Mapping) else "what was given"
            warn_once(f"params:{names}"[:200], "this model takes no params; %s is left out", names)
            return {}
        if not given:
            if given is not None and not isinstance(given, Mapping):
                raise SchemaMismatch(f"params should be a dict, and is a {type(given).__name__}")
            return dict(self._defaults)
        if not isinstance(given, Mapping):
            raise SchemaMismatch(f"params should be a dict, and is a {type(given).__name__}")
        values = dict(self._defaults)
        for name, value in given.items():
            spec = self._specs.get(str(name))
            if spec is None:
                known = ", ".join(self._specs)
                warn_once(
                    f"param:{name}"[:200], "this model has no param %s, and leaves it out; it has %s", name, known
                )
            else:
                values[spec.name] = checked(spec, value)
        return values


def checked(spec: ParamSpec, value: Any) -> Any:
    """A param's value as plain Python has it. Raises SchemaMismatch."""
    if spec.shape is not None:
        if not isinstance(value, list | np.ndarray) or np.ndim(value) != 1:
            raise SchemaMismatch(f"the param {spec.name!r} should be a list of {in_words(spec.dtype)}")
        return [_scalar(spec, one) for one in value]
    if not isinstance(spec.dtype, DataType):
        nested.taken(f"the param {spec.name!r}", value, spec.dtype)
        return value
    return _scalar(spec, value)


def _scalar(spec: ParamSpec, value: Any) -> Any:
    if value is None:
        return None
    kind = spec.dtype
    if kind is DataType.datetime:
        return _moment(spec, value)
    assert isinstance(kind, DataType)
    if type(value) not in _TAKES[kind]:
        raise SchemaMismatch(f"the param {spec.name!r} should be {kind.name}, and is a {type(value).__name__}")
    return _PYTHON[kind](value)


def _moment(spec: ParamSpec, value: Any) -> dt.date:
    try:
        moment = np.datetime64(value).item()
    except ValueError:
        moment = None
    if not isinstance(moment, dt.date):
        raise SchemaMismatch(f"the param {spec.name!r} should be a datetime, as ISO 8601 or a date of Python's")
    return moment
