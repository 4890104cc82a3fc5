"""What is old goes, what is not stays."""

from __future__ import annotations

import asyncio

import pytest

from onebyone.clock import now_ms
from onebyone.counter import pruning
from onebyone.report_store import tables
from tests.counter.lane import Lane, event

pytestmark = pytest.mark.anyio


async def test_old_batches_and_clicks_are_removed_in_steps(each_lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "STEP_ROWS", 2)
    monkeypatch.setattr(pruning, "STEP_SECONDS", 0.0)
    for seq, days in enumerate((101, 101, 101, 99, 32, 30, 0), start=1):
        each_lane.send(seq, event(kind="clk", ts=now_ms() - days * pruning.DAY_MS))
    await each_lane.drain()
    await pruning.prune(each_lane.engine, 100, asyncio.Semaphore(1))
    assert sorted(row.seq for row in await each_lane.rows(tables.archive)) == [4, 5, 6, 7]
    assert len(await each_lane.rows(tables.clicks)) == 2
    assert await each_lane.counted() == 7, "rollups are kept for ever"
