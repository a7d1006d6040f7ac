"""The file MLmodel: what a folder holds, in MLflow's keys, so that MLflow reads ours and we read MLflow's."""

from __future__ import annotations

import datetime as dt
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from headrace.sdk.models.schema import BadSchema, ParamSchema, Schema
from headrace.sdk.models.signature import ModelSignature
from headrace.sdk.version import VERSION

FILE = "MLmodel"
PYFUNC = "python_function"
MLFLOW_VERSION = "3.17.2"
"""The version of MLflow whose format this is; readers of MLflow compare it with their own."""
_BYTES_MAX = 16 * 1024 * 1024


class NoModel(ValueError):
    """A folder that holds no model, or one that cannot be read; the message says what is wrong and where."""


@dataclass
class Metadata:
    """What MLmodel says.

    flavors: name to keys. run_id, model_id: of the run and the logged model, or None. saved_input_example_info: which
    file holds the input example and how. metadata: what the user adds; `headrace` below it is what we remember (see
    `sdk/models/memory.py`). other: keys we do not know, kept as they are. All else as in MLflow.
    """

    flavors: dict[str, dict[str, Any]] = field(default_factory=dict)
    signature: ModelSignature | None = None
    run_id: str | None = None
    model_id: str | None = None
    artifact_path: str | None = None
    utc_time_created: str = field(default_factory=lambda: str(dt.datetime.now(dt.UTC).replace(tzinfo=None)))
    saved_input_example_info: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    model_size_bytes: int | None = None
    is_signature_from_type_hint: bool = False
    type_hint_from_example: bool = False
    mlflow_version: str = MLFLOW_VERSION
    other: dict[str, Any] = field(default_factory=dict)

    @property
    def pyfunc(self) -> dict[str, Any]:
        """The keys of python_function, by which any loader finds its way. Raises NoModel where there are none."""
        try:
            return self.flavors[PYFUNC]
        except KeyError:
            raise NoModel(
                f"this model has the flavors {', '.join(self.flavors) or 'none'}, not {PYFUNC}; load it by its own"
            ) from None

    def get_input_schema(self) -> Schema | None:
        """The schema of the input, where there is a signature."""
        return self.signature.inputs if self.signature else None

    def get_output_schema(self) -> Schema | None:
        """The schema of the output, where there is a signature."""
        return self.signature.outputs if self.signature else None

    def get_params_schema(self) -> ParamSchema | None:
        """The params of predict, where there is a signature."""
        return self.signature.params if self.signature else None

    def to_dict(self) -> dict[str, Any]:
        """In MLflow's keys."""
        said: dict[str, Any] = {
            **self.other,
            "artifact_path": self.artifact_path,
            "flavors": self.flavors,
            "is_signature_from_type_hint": self.is_signature_from_type_hint,
            "mlflow_version": self.mlflow_version,
            "model_id": self.model_id,
            "model_size_bytes": self.model_size_bytes,
            "model_uuid": self.model_id,
            "prompts": self.other.get("prompts"),
            "run_id": self.run_id,
            "type_hint_from_example": self.type_hint_from_example,
            "utc_time_created": self.utc_time_created,
        }
        if self.signature is not None:
            said["signature"] = self.signature.to_dict()
        if self.saved_input_example_info is not None:
            said["saved_input_example_info"] = self.saved_input_example_info
        if self.metadata:
            said["metadata"] = self.metadata
        return said

    def write(self, folder: Path) -> None:
        """Write MLmodel into a model's folder. Raises OSError."""
        (folder / FILE).write_text(dump(self.to_dict()), encoding="utf-8")

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Metadata:
        """From MLflow's keys; those of older versions too. Raises NoModel."""
        rest = dict(said)
        flavors = rest.pop("flavors", None)
        if not isinstance(flavors, dict) or not all(isinstance(one, dict) for one in flavors.values()):
            raise NoModel("it has no flavors")
        signature = rest.pop("signature", None)
        older = rest.pop("model_uuid", None)
        size = rest.pop("model_size_bytes", None)
        try:
            kept = ModelSignature.from_dict(signature) if isinstance(signature, dict) else None
        except BadSchema as error:
            raise NoModel(f"its signature cannot be read: {error}") from error
        return cls(
            flavors,
            kept,
            rest.pop("run_id", None),
            rest.pop("model_id", None) or older,
            rest.pop("artifact_path", None),
            str(rest.pop("utc_time_created", "")),
            rest.pop("saved_input_example_info", None),
            rest.pop("metadata", None),
            size if isinstance(size, int) else None,
            bool(rest.pop("is_signature_from_type_hint", False)),
            bool(rest.pop("type_hint_from_example", False)),
            str(rest.pop("mlflow_version", "")),
            rest,
        )

    @classmethod
    def read(cls, folder: Path) -> Metadata:
        """Read MLmodel of a model's folder. Raises NoModel."""
        file = folder / FILE
        try:
            if file.stat().st_size > _BYTES_MAX:
                raise NoModel(f"{file} is too long for a description of a model")
            said = load(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise NoModel(f"{folder} holds no model: it has no file {FILE}") from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise NoModel(f"{file} cannot be read: {error}") from error
        if not isinstance(said, dict):
            raise NoModel(f"{file} is no description of a model")
        try:
            return cls.from_dict(said)
        except NoModel as error:
            raise NoModel(f"{file}: {error}") from error


def pyfunc_entry(loader_module: str, **keys: Any) -> dict[str, Any]:
    """The keys below python_function that every flavor writes, with its own. loader_module: MLflow's name of it."""
    return {
        "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
        "loader_module": loader_module,
        "python_version": platform.python_version(),
        **keys,
    }


def dump(said: Mapping[str, Any]) -> str:
    """A mapping as YAML, keys in order of their names."""
    text = yaml.dump(
        _plain(said), Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), default_flow_style=False, allow_unicode=True
    )
    return str(text)


def load(text: str) -> Any:
    """What YAML says. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _plain(value: Any) -> Any:
    """Only what YAML has a safe form for; no aliases, since each container is a new one."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if value is None or type(value) in (str, int, float, bool):
        return value
    return value.item() if hasattr(value, "item") and getattr(value, "size", 0) == 1 else str(value)


def made_by() -> str:
    """Who wrote a model, for its metadata."""
    return f"headrace {VERSION}"
