"""A batch is counted once, whatever happens to the stream, the report store and the counter."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from onebyone.contracts import batches, keys
from onebyone.counter import process, shard
from onebyone.counter.ledger import Ledger
from onebyone.counter.stream import Stream
from onebyone.report_store import tables
from onebyone.runtime import sql
from tests.counter.lane import Lane, LaneMaker, batch
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_batches_are_counted_and_trimmed(each_lane: Lane) -> None:
    for seq in range(1, 6):
        each_lane.send(seq)
    await each_lane.drain()
    assert await each_lane.counted() == 5
    assert each_lane.progress() == 5
    assert each_lane.client.xlen(keys.events(0)) == 0
    assert len(await each_lane.rows(tables.archive)) == 5


async def test_duplicates_are_skipped(each_lane: Lane) -> None:
    one, two = batch(each_lane.producer, 1), batch(each_lane.producer, 2)
    each_lane.ship(one, one, two, one, two)
    await each_lane.drain()
    each_lane.ship(one, two)
    each_lane.client.delete(keys.progress(0))
    await each_lane.drain()
    assert await each_lane.counted() == 2
    assert each_lane.progress() == 2, "progress is published again for duplicates too"


async def test_a_gap_is_asked_for_and_counted_when_it_comes(each_lane: Lane) -> None:
    one, two, three = (batch(each_lane.producer, seq) for seq in (1, 2, 3))
    async with each_lane.counter():
        each_lane.ship(one, three)
        await eventually(lambda: each_lane.token() is not None, "a request to ship again")
        await eventually(lambda: each_lane.progress() == 1, "the first is counted")
        each_lane.ship(two, three)
        await eventually(lambda: each_lane.progress() == 3, "the gap is closed")
    assert await each_lane.counted() == 3
    assert await each_lane.rows(tables.holes) == []


async def test_a_gap_is_asked_for_again_by_the_next_counter(lane: Lane) -> None:
    lane.send(2)
    await lane.drain()
    first = lane.token()
    lane.client.delete(keys.resend(0))
    async with lane.counter():
        await eventually(lambda: lane.token() not in (None, first), "another request")


async def test_a_gap_that_no_journal_keeps_is_a_hole(each_lane: Lane) -> None:
    each_lane.send(1)
    each_lane.send(5, kept_from=4)
    await each_lane.drain()
    assert each_lane.progress() == 3, "seq 4 can still come"
    each_lane.send(4, kept_from=4)
    each_lane.send(5, kept_from=4)
    await each_lane.drain()
    assert await each_lane.counted() == 3
    (hole,) = await each_lane.rows(tables.holes)
    assert (hole.producer, hole.from_seq, hole.to_seq) == (each_lane.producer, 2, 3)


async def test_an_emptied_stream_is_read_from_the_start(lane: Lane) -> None:
    sent = [batch(lane.producer, seq) for seq in range(1, 7)]
    async with lane.counter():
        lane.ship(*sent[:3])
        await eventually(lambda: lane.progress() == 3, "the first half")
        lane.client.flushall()
        lane.ship(*sent)
        await eventually(lambda: lane.progress() == 6, "the second half")
    assert await lane.counted() == 6


async def test_progress_is_told_to_an_emptied_server(lane: Lane) -> None:
    async with lane.counter():
        lane.send(1)
        await eventually(lambda: lane.progress() == 1, "counted")
        lane.client.flushall()
        await eventually(lambda: lane.progress() == 1, "published again")


@pytest.mark.parametrize("incarnation", ["kept", "gone"])
async def test_a_replacement_with_lower_stream_ids_is_counted(lane: Lane, incarnation: str) -> None:
    lane.send(1)
    await lane.drain()
    if incarnation == "gone":
        lane.client.flushall()
    else:
        lane.client.delete(keys.events(0))
    entry = {"v": batches.FORMAT, "p": lane.producer, "s": 2, "n": 1, "k": 1, "z": batch(lane.producer, 2).payload}
    lane.client.xadd(keys.events(0), entry, id="5-1")  # type: ignore[arg-type]
    await lane.drain()
    assert await lane.counted() == 2


async def test_progress_lost_between_commit_and_publishing(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    class Crash(BaseException):
        pass

    async def crash(_: Stream, progress: dict[str, int]) -> None:
        if progress:
            raise Crash

    lane.send(1)
    with monkeypatch.context() as patched:
        patched.setattr(Stream, "publish", crash)
        with pytest.raises(BaseExceptionGroup):
            await lane.drain()
    assert lane.progress() == 0
    await lane.drain()
    assert await lane.counted() == 1
    assert lane.progress() == 1


async def test_two_counters_at_once_count_once(each_lane: Lane) -> None:
    async with each_lane.counter(), each_lane.counter():
        for seq in range(1, 201):
            each_lane.send(seq)
            if seq % 20 == 0:
                await asyncio.sleep(0.02)
        await eventually(lambda: each_lane.progress() == 200, "all counted")
    assert await each_lane.counted() == 200
    assert await each_lane.rows(tables.holes) == []


async def test_a_counter_held_up_behind_its_commit_takes_nothing_back(
    each_lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = Stream.publish
    held, go_on, told = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hold_the_first(stream: Stream, progress: dict[str, int]) -> None:
        first = bool(progress) and not held.is_set()
        if first:
            held.set()
            await go_on.wait()
        await publish(stream, progress)
        if first:
            told.set()

    monkeypatch.setattr(Stream, "publish", hold_the_first)
    async with each_lane.counter(), each_lane.counter():
        each_lane.send(1)
        await held.wait()
        each_lane.send(2)
        await eventually(lambda: each_lane.progress() == 2, "the other one counts on")
        go_on.set()
        await told.wait()
        assert each_lane.progress() == 2
    assert await each_lane.counted() == 2


async def test_one_producer_in_two_shards_counts_once(each_lane: Lane) -> None:
    each_lane.settings.shards = 2
    sent = [batch(each_lane.producer, seq) for seq in range(1, 51)]
    entries = [{"v": batches.FORMAT, "p": one.producer, "s": one.seq, "n": 1, "k": 1, "z": one.payload} for one in sent]
    async with each_lane.counter():
        for entry in entries:
            for number in (0, 1):
                each_lane.client.xadd(keys.events(number), entry)  # type: ignore[arg-type]
            await asyncio.sleep(0)
        await eventually(lambda: each_lane.progress() == 50, "all counted")
    assert await each_lane.counted() == 50


async def test_a_locked_report_store_is_waited_for(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "BUSY_MS", 50)
    async with lane.counter():
        async with sql.writing(lane.engine):
            lane.send(1)
            await asyncio.sleep(1.0)
        await eventually(lambda: lane.progress() == 1, "counted after the lock")
    assert await lane.counted() == 1


async def test_a_stream_server_that_comes_back_is_read_on(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    lane.send(1)
    failing = True
    read = Stream.read

    async def unreachable(self: Stream, *values: object) -> object:
        if failing:
            raise ConnectionError("away")
        return await read(self, *values)  # type: ignore[arg-type]

    monkeypatch.setattr(Stream, "read", unreachable)
    running = asyncio.create_task(lane.drain())
    await asyncio.sleep(0.5)
    failing = False
    await eventually(lambda: lane.progress() == 1, "counted")
    await running


async def test_only_committed_entries_are_trimmed(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise OSError("no store")

    for seq in (1, 2, 3):
        lane.send(seq)
    monkeypatch.setattr(shard, "DRAIN_SECONDS", 1.0)
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "commit", refuse)
        stopping = asyncio.Event()
        stopped = asyncio.create_task(process.run(lane.settings, stopping, lambda: None))
        await asyncio.sleep(0.7)
        stopping.set()
        await stopped
    assert lane.client.xlen(keys.events(0)) == 3
    await lane.drain()
    assert lane.client.xlen(keys.events(0)) == 0
    assert await lane.counted() == 3


async def test_a_position_set_back_counts_nothing_twice(each_lane: Lane) -> None:
    for seq in (1, 2, 3):
        each_lane.send(seq)
    await each_lane.drain()
    async with sql.writing(each_lane.engine) as connection:
        await connection.execute(text("UPDATE positions SET stream_ms = 0, stream_seq = 0, incarnation = ''"))
    each_lane.send(1)
    each_lane.send(4)
    await each_lane.drain()
    assert await each_lane.counted() == 4


async def test_a_killed_stream_server_is_waited_for(valkey: ValkeyProcess, tmp_path: Path, anyio_backend: str) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'reports.sqlite3'}"
    async with LaneMaker(valkey, url) as lane:
        sent = [batch(lane.producer, seq) for seq in range(1, 31)]
        async with lane.counter():
            lane.ship(*sent[:10])
            await eventually(lambda: lane.progress() == 10, "the first ten")
            lane.ship(*sent[10:20])
            valkey.kill()
            await asyncio.sleep(0.3)
            valkey.start()
            lane.ship(*sent[9:])
            await eventually(lambda: lane.progress() == 30, "all")
        assert await lane.counted() == 30


async def test_a_full_stream_server_is_emptied(valkey: ValkeyProcess, tmp_path: Path, anyio_backend: str) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'reports.sqlite3'}"
    async with LaneMaker(valkey, url) as lane:
        lane.send(1)
        await lane.drain()
        for seq in (2, 3, 5):
            lane.send(seq)
        lane.client.config_set("maxmemory", "1")
        async with lane.counter():
            await eventually(lambda: lane.client.xlen(keys.events(0)) == 0, "the stream is empty")
            assert lane.progress() == 1, "no write is taken"
            lane.client.config_set("maxmemory", "0")
            await eventually(lambda: lane.progress() == 3, "progress is told later")
            await eventually(lambda: lane.token() is not None, "and the gap is asked for")
        assert await lane.counted() == 3


async def test_a_restored_store_takes_back_what_it_does_not_know(each_lane: Lane) -> None:
    lane = each_lane
    lane.send(1)
    await lane.drain()
    lane.client.hset(keys.progress(0), mapping={lane.producer: 7, "0" * 16: 3, b"\xff": 1})
    await lane.drain()
    assert lane.progress() == 1
    assert lane.progress("0" * 16) == 0
