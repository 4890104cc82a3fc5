"""Batches whose disk is gone: they are named, can be given up, and counting goes on behind a recorded hole."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from onebyone.cli import app
from onebyone.counter import missing, shard
from onebyone.counter.missing import NotGivenUp
from onebyone.report_store import tables
from onebyone.runtime import sql
from tests.counter.lane import Lane
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


async def _age(lane: Lane) -> None:
    """Makes the producer silent for long enough."""
    async with sql.writing(lane.engine) as connection:
        old = tables.producers.c.updated_at - missing.SILENT_MS
        await connection.execute(update(tables.producers).values(updated_at=old))


async def test_counting_goes_on_behind_what_was_given_up(each_lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "ASK_SECONDS", 0.1)
    each_lane.send(1)
    each_lane.send(3)
    each_lane.send(4)
    async with each_lane.counter():
        await eventually(lambda: each_lane.token() is not None, "a request to ship again")
        (gap,) = await missing.read(each_lane.engine)
        assert (gap.producer, gap.first, gap.last) == (each_lane.producer, 2, 4)
        with pytest.raises(NotGivenUp, match="is alive"):
            await missing.give_up(each_lane.engine, each_lane.producer)
        await _age(each_lane)
        gap = await missing.give_up(each_lane.engine, each_lane.producer)
        assert (gap.first, gap.last) == (2, 4)
        await eventually(lambda: each_lane.progress() == 4, "a running counter notices, and tells the edge")
        each_lane.send(5)
        await eventually(lambda: each_lane.progress() == 5, "it counts on")
    (hole,) = await each_lane.rows(tables.holes)
    assert (hole.producer, hole.from_seq, hole.to_seq) == (each_lane.producer, 2, 4)
    assert await missing.read(each_lane.engine) == []
    assert await each_lane.counted() == 2


async def test_what_was_given_up_is_not_counted_later(lane: Lane) -> None:
    lane.send(1)
    lane.send(3)
    await lane.drain()
    await _age(lane)
    await missing.give_up(lane.engine, lane.producer)
    lane.send(2)
    lane.send(3)
    await lane.drain()
    assert await lane.counted() == 1


@pytest.mark.parametrize("producer", ["counted", "unknown"])
async def test_nothing_is_given_up_that_does_not_wait(lane: Lane, producer: str) -> None:
    lane.send(1)
    await lane.drain()
    await _age(lane)
    with pytest.raises(NotGivenUp, match="does not wait"):
        await missing.give_up(lane.engine, lane.producer if producer == "counted" else producer)
    assert await lane.rows(tables.holes) == []


async def test_the_commands(lane: Lane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEBYONE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ONEBYONE_REPORT_DATABASE_URL", lane.settings.report_store_url)

    async def run(*arguments: str) -> tuple[int, str]:
        result = await asyncio.to_thread(CliRunner().invoke, app, ["missing", *arguments])
        return result.exit_code, result.output

    lane.send(2)
    await lane.drain()
    code, output = await run("list")
    row = json.loads(output)
    assert (code, row["producer"], row["missing_from"], row["seen_up_to"]) == (0, lane.producer, 1, 2)
    assert row["journal_here"] is False
    await _age(lane)
    journal = tmp_path / "journal" / f"{lane.producer}.sqlite3"
    journal.parent.mkdir()
    journal.touch()
    code, output = await run("give-up", lane.producer)
    assert (code, "is here" in output) == (1, True)
    journal.unlink()
    code, output = await run("give-up", lane.producer)
    assert (code, json.loads(output)) == (0, {"producer": lane.producer, "lost_from": 1, "lost_to": 2})
    assert await run("list") == (0, "")
    code, output = await run("give-up", lane.producer)
    assert (code, "does not wait" in output) == (1, True)
