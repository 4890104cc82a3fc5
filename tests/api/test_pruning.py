"""The pruner of the API repeats each step until nothing is left to delete, and continues after a failure."""

from __future__ import annotations

import asyncio

import pytest

from onebyone.api import pruning

pytestmark = pytest.mark.anyio


async def test_steps_are_repeated_and_failures_delay_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "EVERY_SECONDS", 0.01)
    monkeypatch.setattr(pruning, "STEP_SECONDS", 0.0)
    calls: dict[str, int] = {"fails": 0, "works": 0}

    enough = asyncio.Event()

    async def fails() -> bool:
        calls["fails"] += 1
        raise OSError("away")

    async def works() -> bool:
        calls["works"] += 1
        if calls["fails"] >= 3 and calls["works"] >= 7:
            enough.set()
        return calls["works"] < 5

    running = asyncio.create_task(pruning.prune_forever((fails, works)))
    await asyncio.wait_for(enough.wait(), 20)
    running.cancel()
