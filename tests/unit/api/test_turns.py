"""Turns: a few requests at a time hold much memory, and the others wait, but not for ever."""

from __future__ import annotations

import asyncio

import pytest
from fastapi import FastAPI, Request
from headrace.api.errors import ApiError
from headrace.api.turns import AT_ONCE, turn


def test_who_gets_no_turn_in_time_is_told_to_ask_again_and_a_turn_given_back_is_taken() -> None:
    request = Request({"type": "http", "app": FastAPI()})

    async def hold(count: int) -> None:
        async with turn(request, 10):
            if count > 1:
                await hold(count - 1)
                return
            with pytest.raises(ApiError, match="ask again") as refused:
                async with turn(request, 0.01):
                    raise AssertionError
            assert refused.value.error_code == "TEMPORARILY_UNAVAILABLE"

    async def twice() -> None:
        await hold(AT_ONCE)
        await hold(AT_ONCE)

    asyncio.run(twice())
