"""Saves a model of any flavor into a folder, complete: payload, MLmodel, signature, example, requirements, code."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headrace.sdk.flavors import known
from headrace.sdk.flavors.flavor import Flavor, Predictor, Saved
from headrace.sdk.models import example as examples
from headrace.sdk.models import memory, requirements
from headrace.sdk.models.mlmodel import PYFUNC, Metadata
from headrace.sdk.models.signature import ModelSignature, infer_params, infer_schema, infer_signature

logger = logging.getLogger("headrace")


def save_model(
    model: Any,
    path: str | os.PathLike[str],
    *,
    flavor: str | None = None,
    signature: ModelSignature | bool | None = None,
    input_example: Any = None,
    code_paths: Sequence[str] | None = None,
    pip_requirements: Sequence[str] | str | None = None,
    extra_pip_requirements: Sequence[str] | str | None = None,
    conda_env: Mapping[str, Any] | str | None = None,
    metadata: Mapping[str, Any] | None = None,
    described: Metadata | None = None,
    **options: Any,
) -> Metadata:
    """Save a model into a folder that is not there yet, or is empty. Returns what MLmodel says.

    flavor: one of `sdk/flavors/known.NAMES`; told from the model when not given. signature: told from input_example
    when not given, and left out when False. input_example: data as predict takes them, or (data, params). code_paths:
    files and folders of the user's that the model's code imports. pip_requirements: instead of those we tell;
    extra_pip_requirements: besides them. metadata: anything plain, kept in MLmodel. described: what MLmodel says of the
    model already, to be completed. options: the flavor's own.
    Raises FileExistsError, UnknownFlavor, BadExample, TypeError for an unknown option, OSError.
    """
    folder = Path(path)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} exists and is not empty; give a folder that is not there yet")
    chosen = known.of_model(model) if flavor is None else known.named(flavor)
    folder.mkdir(parents=True, exist_ok=True)
    example = None if input_example is None else examples.of(input_example)
    saved = chosen.save(model, folder, example=None if example is None else example.data, **options)
    if described is None:
        described = Metadata(metadata={**(metadata or {}), memory.KEY: memory.of_process()})
    described.flavors = saved.flavors
    code = _copy_code(code_paths, folder)
    for name, entry in saved.flavors.items():
        if code is not None or (name != PYFUNC and "code" in entry):
            entry["code"] = code
    if example is not None:
        example.write(folder)
        described.saved_input_example_info = example.info
    described.signature = _signature(signature, example, chosen, model, saved, folder)
    _write_requirements(folder, saved, pip_requirements, extra_pip_requirements, conda_env)
    described.model_size_bytes = sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())
    described.write(folder)
    return described


def _signature(
    given: ModelSignature | bool | None,
    example: examples.Example | None,
    flavor: Flavor,
    model: Any,
    saved: Saved,
    folder: Path,
) -> ModelSignature | None:
    """As given, or told from the example and what the model predicts for it."""
    if isinstance(given, ModelSignature):
        return given
    if given is False or example is None:
        return None
    try:
        inputs = infer_signature(example.data).inputs
        params = infer_params(example.params) if example.params else None
    except Exception as error:  # of data of any kind at all
        logger.warning("no signature can be told from the input example: %s", error)
        return None
    outputs = None
    if PYFUNC in saved.flavors:
        try:
            entry = saved.flavors[PYFUNC]
            wrap = getattr(flavor, "wrap", None)
            wraps = not entry.get("artifacts") and not entry.get("model_code_path")
            predictor: Predictor | None = wrap(model, entry) if wrap is not None and wraps else None
            if predictor is None:
                predictor = flavor.predictor(folder, saved.flavors.get(flavor.NAME, {}), entry)
            predicted = predictor.predict(_as_frame(example.data, inputs), example.params)
            outputs = infer_schema(predicted)
        except Exception as error:  # the user's model may do anything
            logger.warning(
                "the signature has no output: the model cannot predict its input example, or no schema fits what it"
                " says: %s: %s", type(error).__name__, error,
            )  # fmt: skip
    return ModelSignature(inputs, outputs, params)


def _as_frame(data: Any, inputs: Any) -> Any:
    """The example as pyfunc's predict would hand it to the model."""
    from headrace.sdk.models.enforcement import Plan

    return Plan(inputs, None).enforce(data)


def _copy_code(paths: Sequence[str] | None, folder: Path) -> str | None:
    """Copy the user's code below `code/`; the name of that folder, or None where there is none."""
    if not paths:
        return None
    if isinstance(paths, str):
        raise TypeError("code_paths is a list of paths")
    target = folder / "code"
    target.mkdir()
    for one in paths:
        source = Path(one)
        if source.is_dir():
            shutil.copytree(
                source, target / source.resolve().name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
            )
        else:
            shutil.copyfile(source, target / source.name)
    return "code"


def _write_requirements(
    folder: Path,
    saved: Saved,
    given: Sequence[str] | str | None,
    extra: Sequence[str] | str | None,
    conda_env: Mapping[str, Any] | str | None,
) -> None:
    if given is None:
        told = [*requirements.of_modules(saved.modules), *saved.extra]
    else:
        told = requirements.lines(given, "pip_requirements")
    wanted = list(dict.fromkeys([*told, *requirements.lines(extra, "extra_pip_requirements")]))
    requirements.write(folder, wanted, conda_env)
