"""Calls back when a module has been imported: at once when it is there, else right after its import."""

from __future__ import annotations

import importlib.machinery
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from types import ModuleType

logger = logging.getLogger("headrace")

Callback = Callable[[ModuleType], None]

_lock = threading.RLock()
_waiting: dict[str, dict[str, Callback]] = {}
"""Module name -> who waits -> what to call. A name that ends in a dot stands for all modules below it."""


def when_imported(module: str, who: str, callback: Callback) -> None:
    """Call back with the module, now or after its import; for `name.`, with each module below that, as they come.

    One callback per module and `who`: another one replaces it. What a callback raises is logged and goes no further.
    """
    with _lock:
        _waiting.setdefault(module, {})[who] = callback
        if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
            sys.meta_path.insert(0, _Finder())
    for name, loaded in list(sys.modules.items()):
        if loaded is not None and _fits(module, name) and not _is_loading(loaded):
            _call(callback, loaded)


def forget(who: str) -> None:
    """Nothing more is called back for `who`; the finder goes with the last of them."""
    with _lock:
        for module in list(_waiting):
            _waiting[module].pop(who, None)
            if not _waiting[module]:
                del _waiting[module]
        if not _waiting:
            sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]


def _fits(wanted: str, name: str) -> bool:
    return name.startswith(wanted) if wanted.endswith(".") else name == wanted


def _is_loading(module: ModuleType) -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def _call(callback: Callback, module: ModuleType) -> None:
    try:
        callback(module)
    except Exception as error:
        logger.warning("autolog was not set up for %s: %s: %s", module.__name__, type(error).__name__, error)


def _imported(module: ModuleType) -> None:
    with _lock:
        callbacks = [
            callback
            for wanted, waiting in _waiting.items()
            if _fits(wanted, module.__name__)
            for callback in waiting.values()
        ]
    for callback in callbacks:
        _call(callback, module)


class _Finder:
    """Asks the other finders, and has a loader of a module that is waited for tell when it is done."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of a module somebody waits for; None leaves every other module to the finders after this one."""
        if not any(_fits(wanted, name) for wanted in list(_waiting)):
            return None
        for finder in list(sys.meta_path):
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    _watch(spec.loader)
                return spec
        return None


def _watch(loader: object) -> None:
    execute = getattr(loader, "exec_module", None)
    if execute is None or "exec_module" in getattr(loader, "__dict__", {}):
        return

    def exec_module(module: ModuleType) -> None:
        execute(module)
        try:
            del loader.exec_module  # type: ignore[attr-defined]
        except AttributeError:
            pass
        _imported(module)

    try:
        loader.exec_module = exec_module  # type: ignore[attr-defined]
    except AttributeError:  # a loader that is a class, or has slots: nobody is told
        return
