"""The lag of the pipeline as the API measures it, on a real stream server and report store."""

from __future__ import annotations

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.api.pipeline_lag import PipelineLag, PipelineLagMeter
from onebyone.contracts import keys
from onebyone.report_store.tables import counters
from onebyone.runtime import sql
from onebyone.settings import Settings
from tests.counter.harness import RunningHarness, event
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


async def measured(settings: Settings, engine: AsyncEngine) -> PipelineLag:
    meter = PipelineLagMeter(settings, engine)
    try:
        return await meter.measure()
    finally:
        await meter.close()


async def test_waiting_and_counted_batches(valkey: ValkeyProcess, sql_url: str) -> None:
    async with RunningHarness(valkey, sql_url) as lane:
        await lane.drain()
        lane.send(1)
        lane.send(2)
        before = await measured(lane.settings, lane.engine)
        assert (before.healthy, before.stream_answers, before.uncounted_batches) == (True, True, 2)
        assert before.oldest_uncounted_seconds is not None
        assert before.last_commit_seconds is None
        await lane.drain()
        after = await measured(lane.settings, lane.engine)
        assert (after.healthy, after.uncounted_batches, after.oldest_uncounted_seconds) == (True, 0, 0)
        assert after.last_commit_seconds is not None


async def test_holes_waiting_producers_and_dead_letters(valkey: ValkeyProcess, sql_url: str) -> None:
    async with RunningHarness(valkey, sql_url) as lane:
        lane.send(2)
        await lane.drain()
        waits = await measured(lane.settings, lane.engine)
        assert (waits.healthy, waits.waiting_producers) == (False, 1)
        lane.send(2, kept_from=2)
        lane.send(3, event(kind="view"), b"not JSON")
        await lane.drain()
        lost = await measured(lane.settings, lane.engine)
        assert (lost.healthy, lost.waiting_producers, lost.lost_batches, lost.dead_letters) == (True, 0, 1, 2)


async def test_batch_waiting_too_long(valkey: ValkeyProcess, sql_url: str) -> None:
    async with RunningHarness(valkey, sql_url) as lane:
        await lane.drain()
        lane.client.xadd(keys.events_key(0), {"v": "1"}, id="1000-0")
        late = await measured(lane.settings, lane.engine)
        assert (late.healthy, late.uncounted_batches) == (False, 1)


@pytest.mark.parametrize("stopped", ["cleanly", "not at all"])
async def test_a_counter_that_no_longer_runs_is_noticed_without_the_stream(
    valkey: ValkeyProcess, sql_url: str, stopped: str
) -> None:
    async with RunningHarness(valkey, sql_url) as lane:
        await lane.drain()
        alone = Settings(report_database_url=sql_url, stream_url="")
        now = await measured(alone, lane.engine)
        assert (now.healthy, now.problems) == (True, {})
        assert now.counter_seconds is not None
        async with sql.writing(lane.engine) as connection:
            change = update(counters).values(beat_at=counters.c.beat_at - 61_000, leaving=stopped == "cleanly")
            await connection.execute(change)
        late = await measured(alone, lane.engine)
        assert late.healthy is False
        assert late.problems["counter"].startswith("no counter has run for 61 s, more than 60 s")


async def test_readiness_does_not_wait_for_the_measurement(valkey: ValkeyProcess, sql_url: str) -> None:
    async with RunningHarness(valkey, sql_url) as lane:
        lane.send(2)
        await lane.drain()
        meter = PipelineLagMeter(lane.settings, lane.engine)
        assert meter.last_problems() == {}
        await eventually(lambda: "missing" in meter.last_problems(), "it is measured in the background")
        await meter.close()


async def test_unreachable_servers(valkey: ValkeyProcess, sql_url: str) -> None:
    async with RunningHarness(valkey, sql_url) as lane:
        alone = Settings(report_database_url=sql_url, stream_url="")
        without = await measured(alone, lane.engine)
        assert (without.healthy, without.stream_answers, without.uncounted_batches) == (True, None, None)
        valkey.kill()
        away = await measured(lane.settings, lane.engine)
        assert (away.healthy, away.report_store_answers, away.stream_answers) == (False, True, False)


async def test_measurement_is_reused_briefly(valkey: ValkeyProcess, tmp_path: object) -> None:
    async with RunningHarness(valkey, f"sqlite+aiosqlite:///{tmp_path}/reports.sqlite3") as lane:
        meter = PipelineLagMeter(lane.settings, lane.engine)
        first = await meter.measure()
        lane.send(1)
        assert await meter.measure() is first
        assert first.healthy
        await meter.close()
