"""Rows past their retention are deleted, and no others."""

from __future__ import annotations

import asyncio

import pytest

from onebyone.clock import DAY_MS, now_ms
from onebyone.counter import pruning
from onebyone.report_store import tables
from tests.counter.harness import Harness, event

pytestmark = pytest.mark.anyio


async def test_old_batches_and_clicks_are_removed_in_steps(
    each_harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "STEP_ROWS", 2)
    monkeypatch.setattr(pruning, "STEP_SECONDS", 0.0)
    for seq, days in enumerate((101, 101, 101, 99, 32, 30, 0), start=1):
        each_harness.send(seq, event(kind="clk", ts=now_ms() - days * DAY_MS))
    await each_harness.drain()
    await pruning.prune(each_harness.engine, 100, asyncio.Semaphore(1))
    assert sorted(row.seq for row in await each_harness.rows(tables.archive)) == [4, 5, 6, 7]
    assert len(await each_harness.rows(tables.clicks)) == 2
    assert await each_harness.counted() == 7, "rollups are kept forever"
