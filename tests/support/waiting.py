"""Bounded waiting by polling, the only way in which tests depend on time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(check: Callable[[], T], what: str, seconds: float = 30.0, every: float = 0.05) -> T:
    """Return the first true value of `check`; raise AssertionError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for: {what}")
        time.sleep(every)


async def eventually(check: Callable[[], Awaitable[bool] | bool], what: str, seconds: float = 20.0) -> None:
    """Wait until `check` is true without blocking the event loop; raise AssertionError after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                result = check()
                if result if isinstance(result, bool) else await result:
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"waited {seconds} s in vain for: {what}") from None
