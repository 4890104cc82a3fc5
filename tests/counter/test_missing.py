"""Batches whose disk is gone: they are named, can be given up, and counting continues after a recorded hole."""

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
from tests.counter.harness import Harness
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


async def _age(harness: Harness) -> None:
    """Make the producer silent for long enough."""
    async with sql.writing(harness.engine) as connection:
        old = tables.producers.c.updated_at - missing.SILENT_MS
        await connection.execute(update(tables.producers).values(updated_at=old))


async def test_counting_continues_after_batches_given_up(
    each_harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard, "ASK_SECONDS", 0.1)
    each_harness.send(1)
    each_harness.send(3)
    each_harness.send(4)
    async with each_harness.counter():
        await eventually(lambda: each_harness.token() is not None, "a request to ship again")
        (gap,) = await missing.list_gaps(each_harness.engine)
        assert (gap.producer, gap.first, gap.last) == (each_harness.producer, 2, 4)
        with pytest.raises(NotGivenUp, match="is alive"):
            await missing.give_up(each_harness.engine, each_harness.producer)
        await _age(each_harness)
        gap = await missing.give_up(each_harness.engine, each_harness.producer)
        assert (gap.first, gap.last) == (2, 4)
        await eventually(lambda: each_harness.progress() == 4, "a running counter notices, and tells the edge")
        each_harness.send(5)
        await eventually(lambda: each_harness.progress() == 5, "it counts on")
    (hole,) = await each_harness.rows(tables.holes)
    assert (hole.producer, hole.from_seq, hole.to_seq) == (each_harness.producer, 2, 4)
    assert await missing.list_gaps(each_harness.engine) == []
    assert await each_harness.counted() == 2


async def test_a_batch_given_up_is_not_counted_later(harness: Harness) -> None:
    harness.send(1)
    harness.send(3)
    await harness.drain()
    await _age(harness)
    await missing.give_up(harness.engine, harness.producer)
    harness.send(2)
    harness.send(3)
    await harness.drain()
    assert await harness.counted() == 1


@pytest.mark.parametrize("producer", ["counted", "unknown"])
async def test_a_producer_that_does_not_wait_cannot_be_given_up(harness: Harness, producer: str) -> None:
    harness.send(1)
    await harness.drain()
    await _age(harness)
    with pytest.raises(NotGivenUp, match="does not wait"):
        await missing.give_up(harness.engine, harness.producer if producer == "counted" else producer)
    assert await harness.rows(tables.holes) == []


async def test_missing_list_and_give_up(harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEBYONE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ONEBYONE_REPORT_DATABASE_URL", harness.settings.report_store_url)

    async def run(*arguments: str) -> tuple[int, str]:
        result = await asyncio.to_thread(CliRunner().invoke, app, ["missing", *arguments])
        return result.exit_code, result.output

    harness.send(2)
    await harness.drain()
    code, output = await run("list")
    row = json.loads(output)
    assert (code, row["producer"], row["missing_from"], row["seen_up_to"]) == (0, harness.producer, 1, 2)
    assert row["journal_here"] is False
    await _age(harness)
    journal = tmp_path / "journal" / f"{harness.producer}.sqlite3"
    journal.parent.mkdir()
    journal.touch()
    code, output = await run("give-up", harness.producer)
    assert (code, "is here" in output) == (1, True)
    journal.unlink()
    code, output = await run("give-up", harness.producer)
    assert (code, json.loads(output)) == (0, {"producer": harness.producer, "lost_from": 1, "lost_to": 2})
    assert await run("list") == (0, "")
    code, output = await run("give-up", harness.producer)
    assert (code, "does not wait" in output) == (1, True)
