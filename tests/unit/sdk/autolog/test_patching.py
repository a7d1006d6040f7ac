"""Hooks around functions of others: what they may do, what they must not, and that they go away again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from headrace.sdk import cleaning
from headrace.sdk.autolog import patching
from headrace.sdk.autolog.patching import Call

NAME = "test"


class Parent:
    def fit(self, x: int, y: int = 2, *, z: int = 3) -> int:
        if x < 0:
            raise ValueError(x)
        return x + y + z


class Child(Parent):
    pass


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(cleaning, "_warned", set())
    yield
    patching.restore(NAME)


def test_a_hook_sees_the_arguments_may_change_them_and_sees_the_result() -> None:
    seen: list[Any] = []

    def hook(call: Call) -> Generator[None, Any, None]:
        seen.append([call.argument(name) for name in ("x", "y", "z", "none")])
        call.replace("x", 10)
        call.replace("y", 20)
        call.replace("z", 30)
        seen.append((yield))

    patching.patch(NAME, Parent, "fit", hook)
    assert Parent().fit(1, z=5) == 60
    assert seen == [[1, 2, 5, None], 60]


def test_what_a_hook_does_wrong_is_said_once_and_the_call_is_as_without_it(caplog: pytest.LogCaptureFixture) -> None:
    def before(call: Call) -> Generator[None, Any, None]:
        call.replace("x", 100)
        raise RuntimeError("before")
        yield

    def after(call: Call) -> Generator[None, Any, None]:
        yield
        raise RuntimeError("after")

    with caplog.at_level(logging.WARNING):
        for hook in (before, after):
            patching.patch(NAME, Parent, "fit", hook)
            assert [Parent().fit(1), Parent().fit(1)] == [6, 6]
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]


def test_a_silent_integration_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def hook(call: Call) -> Generator[None, Any, None]:
        yield
        raise RuntimeError

    patching.patch(NAME, Parent, "fit", hook)
    patching.set_silent(NAME, True)
    try:
        with caplog.at_level(logging.WARNING):
            assert Parent().fit(1) == 6
    finally:
        patching.set_silent(NAME, False)
    assert caplog.records == []


def test_what_the_function_raises_is_seen_by_the_hook_and_passes_as_it_is() -> None:
    seen: list[BaseException] = []

    def hook(call: Call) -> Generator[None, Any, None]:
        try:
            yield
        except ValueError as error:
            seen.append(error)
            raise KeyError("of the hook") from error

    patching.patch(NAME, Parent, "fit", hook)
    with pytest.raises(ValueError, match="-1") as raised:
        Parent().fit(-1)
    assert seen == [raised.value]
    assert raised.value.__context__ is None


def test_a_hook_that_wants_no_part_in_a_call_costs_it_nothing() -> None:
    def hook(call: Call) -> Generator[None, Any, None]:
        if call.argument("x") > 5:
            yield

    patching.patch(NAME, Parent, "fit", hook)
    assert Parent().fit(1) == 6


def test_patching_again_changes_the_hook_and_does_not_stack() -> None:
    calls: list[str] = []

    def named(name: str) -> patching.Hook:
        def hook(call: Call) -> Generator[None, Any, None]:
            calls.append(name)
            yield

        return hook

    patching.patch(NAME, Parent, "fit", named("first"))
    patching.patch(NAME, Parent, "fit", named("second"))
    Parent().fit(1)
    assert calls == ["second"]
    assert patching.patched(NAME) == [(Parent, "fit")]


def test_restoring_gives_back_the_very_same_attributes() -> None:
    original = Parent.__dict__["fit"]
    patching.patch(NAME, Child, "fit", lambda call: iter([None]))  # type: ignore[arg-type,return-value]
    patching.patch(NAME, Parent, "fit", lambda call: iter([None]))  # type: ignore[arg-type,return-value]
    assert "fit" in Child.__dict__
    patching.restore(NAME)
    assert Parent.__dict__["fit"] is original
    assert "fit" not in Child.__dict__
    patching.restore(NAME)


def test_what_others_patched_over_ours_stays_and_ours_is_passed_through() -> None:
    module = SimpleNamespace(train=lambda: 1)
    calls: list[int] = []

    def hook(call: Call) -> Generator[None, Any, None]:
        calls.append(1)
        yield

    patching.patch(NAME, module, "train", hook)
    ours = module.train
    module.train = lambda: ours() + 1
    patching.restore(NAME)
    assert module.train() == 2
    assert calls == []


def test_a_missing_attribute_and_a_class_method_are_left_alone() -> None:
    class Odd:
        @classmethod
        def make(cls) -> int:
            return 1

    patching.patch(NAME, Odd, "make", lambda call: iter([None]))  # type: ignore[arg-type,return-value]
    patching.patch(NAME, Odd, "none", lambda call: iter([None]))  # type: ignore[arg-type,return-value]
    assert patching.patched(NAME) == []
    assert Odd.make() == 1


def test_threads_may_patch_call_and_restore_at_once() -> None:
    def hook(call: Call) -> Generator[None, Any, None]:
        yield

    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(200):
                patching.patch(NAME, Parent, "fit", hook)
                assert Parent().fit(1) == 6
                patching.restore(NAME)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    patching.restore(NAME)
    assert failures == []
    assert not hasattr(Parent.fit, "__wrapped__")
