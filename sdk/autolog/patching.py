"""Puts hooks around functions of other libraries, and takes them away again.

A hook is a generator function: what it does before its one `yield` happens before the call, the yield gives it what
the call returned (or raises in it what the call raised), and what follows happens after. It may change the arguments.
Whatever a hook does wrong is logged once and never reaches the caller; what the function itself raises passes as it is.
"""

from __future__ import annotations

import functools
import inspect
import logging
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from headrace.sdk.cleaning import warn_once

logger = logging.getLogger("headrace")

Hook = Callable[["Call"], Generator[None, Any, None]]
_MISSING = object()


@dataclass(slots=True)
class Call:
    """One call of a hooked function. args: with the object itself first, when the function is a method."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def signature(self) -> inspect.Signature:
        """The function's parameters."""
        return _signature_of(self.function)

    def bound(self) -> dict[str, Any]:
        """Every argument by its name, defaults included. Raises TypeError when they do not fit the function."""
        arguments = self.signature.bind(*self.args, **self.kwargs)
        arguments.apply_defaults()
        return arguments.arguments

    def argument(self, name: str, default: Any = None) -> Any:
        """An argument by its name, however it was given; the function's own default, or else `default`."""
        if name in self.kwargs:
            return self.kwargs[name]
        position = self._position(name)
        if position is not None and position < len(self.args):
            return self.args[position]
        parameter = self.signature.parameters.get(name)
        return default if parameter is None or parameter.default is parameter.empty else parameter.default

    def replace(self, name: str, value: Any) -> None:
        """Give the function another value for an argument."""
        position = self._position(name)
        if name not in self.kwargs and position is not None and position < len(self.args):
            self.args = (*self.args[:position], value, *self.args[position + 1 :])
        else:
            self.kwargs = {**self.kwargs, name: value}

    def _position(self, name: str) -> int | None:
        for position, parameter in enumerate(self.signature.parameters.values()):
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.KEYWORD_ONLY):
                return None
            if parameter.name == name:
                return position
        return None


@dataclass(eq=False)
class _Patch:
    """One attribute of one owner, as it was and as it is."""

    integration: str
    owner: Any
    name: str
    original: Any
    hook: Hook
    own: bool
    """Whether the owner held the attribute itself, rather than inherited it."""
    active: bool = True
    replacement: Any = field(default=None, repr=False)


_lock = threading.RLock()
_patches: dict[tuple[str, int, str], _Patch] = {}


def patch(integration: str, owner: Any, name: str, hook: Hook) -> None:
    """Put a hook around a function or method; a second time with the same owner and name, only the hook is changed.

    owner: a module, class or object. Does nothing where it has no such function.
    """
    with _lock:
        known = _patches.get((integration, id(owner), name))
        held = inspect.getattr_static(owner, name, _MISSING)
        if known is not None and held is known.replacement:
            known.hook, known.active = hook, True
            return
        if held is _MISSING or isinstance(held, staticmethod | classmethod | property):
            return
        made = _Patch(integration, owner, name, held, hook, own=name in getattr(owner, "__dict__", {}))
        made.replacement = _replacement(made, held)
        if made.replacement is None:
            return
        setattr(owner, name, made.replacement)
        _patches[integration, id(owner), name] = made


def restore(integration: str) -> None:
    """Take every hook of an integration away. Where others have patched over ours since, ours is passed through."""
    with _lock:
        for key in [key for key in _patches if key[0] == integration]:
            made = _patches.pop(key)
            made.active = False
            if inspect.getattr_static(made.owner, made.name, None) is not made.replacement:
                continue
            if made.own:
                setattr(made.owner, made.name, made.original)
            else:
                delattr(made.owner, made.name)


def patched(integration: str) -> list[tuple[Any, str]]:
    """Owner and name of all that an integration has hooks around."""
    with _lock:
        return [(made.owner, made.name) for made in _patches.values() if made.integration == integration]


def _replacement(made: _Patch, held: Any) -> Any:
    """What stands in the attribute's place: a function, or scikit-learn's descriptor of a method it has at times."""
    if hasattr(held, "fn") and hasattr(held, "check") and hasattr(held, "attribute_name"):
        return type(held)(_wrapped(made, held.fn), held.check, held.attribute_name)
    return _wrapped(made, held) if callable(held) else None


def _wrapped(made: _Patch, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def hooked(*args: Any, **kwargs: Any) -> Any:
        if not made.active:
            return function(*args, **kwargs)
        call = Call(function, args, kwargs)
        steps = _begin(made, call)
        if steps is None:
            return function(*args, **kwargs)
        try:
            result = function(*call.args, **call.kwargs)
        except BaseException as error:
            _fail(made, steps, error)
            raise
        _finish(made, steps, result)
        return result

    return hooked


@functools.lru_cache(maxsize=4096)
def _signature_of(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # a function of C without one
        kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        return inspect.Signature([inspect.Parameter(f"given_{int(kind)}", kind) for kind in kinds])


def _begin(made: _Patch, call: Call) -> Generator[None, Any, None] | None:
    """The hook at its yield; None when it does not want this call, or fails."""
    given = (call.args, call.kwargs)
    try:
        steps = made.hook(call)
        next(steps)
        return steps
    except StopIteration:
        return None
    except Exception as error:
        call.args, call.kwargs = given
        blame(made.integration, f"before {made.name}()", error)
        return None


def _finish(made: _Patch, steps: Generator[None, Any, None], result: Any) -> None:
    try:
        steps.send(result)
    except StopIteration:
        return
    except Exception as error:
        blame(made.integration, f"after {made.name}()", error)
    else:
        steps.close()


def _fail(made: _Patch, steps: Generator[None, Any, None], error: BaseException) -> None:
    """Let the hook see what the function raised, and leave that as it was."""
    trace, context = error.__traceback__, error.__context__
    try:
        steps.throw(error)
        steps.close()
    except StopIteration:
        pass
    except BaseException as raised:
        if raised is not error:
            blame(made.integration, f"after {made.name}() failed", raised)
    finally:
        error.__traceback__, error.__context__ = trace, context


_silent: set[str] = set()


def set_silent(integration: str, silent: bool) -> None:
    """Whether an integration says nothing when it cannot log something."""
    (_silent.add if silent else _silent.discard)(integration)


def blame(integration: str, what: str, error: BaseException) -> None:
    """Say once that something of an integration could not be logged."""
    if integration in _silent:
        logger.debug("autolog of %s: %s was not logged: %s: %s", integration, what, type(error).__name__, error)
        return
    warn_once(
        f"autolog:{integration}:{what}:{type(error).__name__}",
        "autolog of %s: %s was not logged: %s: %s. The training goes on.",
        integration, what, type(error).__name__, error,
    )  # fmt: skip


@contextmanager
def guard(integration: str, what: str) -> Iterator[None]:
    """Do something that may go wrong: then it is logged once, and what follows the block goes on."""
    try:
        yield
    except Exception as error:
        blame(integration, what, error)
