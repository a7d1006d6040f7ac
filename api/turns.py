"""Turns: requests that hold much memory are served a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import Request
from headrace.api.errors import unavailable

AT_ONCE: Final = 2


@asynccontextmanager
async def turn(request: Request, wait_s: float) -> AsyncIterator[None]:
    """Wait for a turn, wait_s at most, and hold it. Raises TEMPORARILY_UNAVAILABLE."""
    state = request.app.state
    if not hasattr(state, "turns"):
        state.turns = asyncio.Semaphore(AT_ONCE)
    turns: asyncio.Semaphore = state.turns
    try:
        await asyncio.wait_for(turns.acquire(), wait_s)
    except TimeoutError:
        raise unavailable(
            f"Other requests for many points have kept the server busy for {wait_s:g} s: ask again in a moment"
        ) from None
    try:
        yield
    finally:
        turns.release()
