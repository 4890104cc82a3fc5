"""A batch is counted once, whatever happens to the stream, the report store and the counter."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from onebyone.contracts import batches, keys
from onebyone.counter import process, shard, shard_leases
from onebyone.counter.ledger import Ledger
from onebyone.counter.stream import Stream
from onebyone.report_store import tables
from onebyone.runtime import sql
from tests.counter.harness import Harness, RunningHarness, batch
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_batches_are_counted_and_trimmed(each_harness: Harness) -> None:
    for seq in range(1, 6):
        each_harness.send(seq)
    await each_harness.drain()
    assert await each_harness.counted() == 5
    assert each_harness.progress() == 5
    assert each_harness.client.xlen(keys.events_key(0)) == 0
    assert len(await each_harness.rows(tables.archive)) == 5


async def test_duplicates_are_skipped(each_harness: Harness) -> None:
    one, two = batch(each_harness.producer, 1), batch(each_harness.producer, 2)
    each_harness.ship(one, one, two, one, two)
    await each_harness.drain()
    each_harness.ship(one, two)
    each_harness.client.delete(keys.progress_key(0))
    await each_harness.drain()
    assert await each_harness.counted() == 2
    assert each_harness.progress() == 2, "progress is published again for duplicates too"


async def test_a_missing_batch_is_requested_and_counted_when_it_arrives(each_harness: Harness) -> None:
    one, two, three = (batch(each_harness.producer, seq) for seq in (1, 2, 3))
    async with each_harness.counter():
        each_harness.ship(one, three)
        await eventually(lambda: each_harness.token() is not None, "a request to ship again")
        await eventually(lambda: each_harness.progress() == 1, "the first is counted")
        each_harness.ship(two, three)
        await eventually(lambda: each_harness.progress() == 3, "the gap is closed")
    assert await each_harness.counted() == 3
    assert await each_harness.rows(tables.holes) == []


async def test_the_next_counter_requests_a_missing_batch_again(harness: Harness) -> None:
    harness.send(2)
    await harness.drain()
    first = harness.token()
    harness.client.delete(keys.resend_key(0))
    async with harness.counter():
        await eventually(lambda: harness.token() not in (None, first), "another request")


async def test_a_missing_batch_that_no_journal_holds_is_a_hole(each_harness: Harness) -> None:
    each_harness.send(1)
    each_harness.send(5, kept_from=4)
    await each_harness.drain()
    assert each_harness.progress() == 3, "seq 4 can still come"
    each_harness.send(4, kept_from=4)
    each_harness.send(5, kept_from=4)
    await each_harness.drain()
    assert await each_harness.counted() == 3
    (hole,) = await each_harness.rows(tables.holes)
    assert (hole.producer, hole.from_seq, hole.to_seq) == (each_harness.producer, 2, 3)


async def test_an_emptied_stream_is_read_from_the_start(harness: Harness) -> None:
    sent = [batch(harness.producer, seq) for seq in range(1, 7)]
    async with harness.counter():
        harness.ship(*sent[:3])
        await eventually(lambda: harness.progress() == 3, "the first half")
        harness.client.flushall()
        harness.ship(*sent)
        await eventually(lambda: harness.progress() == 6, "the second half")
    assert await harness.counted() == 6


async def test_progress_is_published_again_to_an_emptied_server(harness: Harness) -> None:
    async with harness.counter():
        harness.send(1)
        await eventually(lambda: harness.progress() == 1, "counted")
        harness.client.flushall()
        await eventually(lambda: harness.progress() == 1, "published again")


@pytest.mark.parametrize("incarnation", ["kept", "gone"])
async def test_a_replacement_with_lower_stream_ids_is_counted(harness: Harness, incarnation: str) -> None:
    harness.send(1)
    await harness.drain()
    if incarnation == "gone":
        harness.client.flushall()
    else:
        harness.client.delete(keys.events_key(0))
    entry = {
        "v": batches.FORMAT,
        "p": harness.producer,
        "s": 2,
        "n": 1,
        "k": 1,
        "z": batch(harness.producer, 2).payload,
    }
    harness.client.xadd(keys.events_key(0), entry, id="5-1")  # type: ignore[arg-type]
    await harness.drain()
    assert await harness.counted() == 2


async def test_progress_lost_between_commit_and_publishing(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    class Crash(BaseException):
        pass

    async def crash(_: Stream, progress: dict[str, int]) -> None:
        if progress:
            raise Crash

    harness.send(1)
    with monkeypatch.context() as patched:
        patched.setattr(Stream, "publish_progress", crash)
        with pytest.raises(BaseExceptionGroup):
            await harness.drain()
    assert harness.progress() == 0
    await harness.drain()
    assert await harness.counted() == 1
    assert harness.progress() == 1


async def test_two_concurrent_counters_count_once(each_harness: Harness) -> None:
    async with each_harness.counter(), each_harness.counter():
        for seq in range(1, 201):
            each_harness.send(seq)
            if seq % 20 == 0:
                await asyncio.sleep(0.02)
        await eventually(lambda: each_harness.progress() == 200, "all counted")
    assert await each_harness.counted() == 200
    assert await each_harness.rows(tables.holes) == []


async def test_a_counter_delayed_after_its_commit_does_not_lower_progress(
    each_harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = Stream.publish_progress
    held, go_on, told = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hold_the_first(stream: Stream, progress: dict[str, int]) -> None:
        first = bool(progress) and not held.is_set()
        if first:
            held.set()
            await go_on.wait()
        await publish(stream, progress)
        if first:
            told.set()

    monkeypatch.setattr(Stream, "publish_progress", hold_the_first)
    monkeypatch.setattr(shard_leases, "even_share", lambda *_: 1)
    async with each_harness.counter(), each_harness.counter():
        each_harness.send(1)
        await held.wait()
        async with sql.writing(each_harness.engine) as connection:
            owner = "(SELECT counter FROM counters WHERE counter <> owner)"
            await connection.execute(text(f"UPDATE positions SET owner = {owner}, generation = generation + 1"))
        each_harness.send(2)
        await eventually(lambda: each_harness.progress() == 2, "the other one counts on")
        go_on.set()
        await told.wait()
        assert each_harness.progress() == 2
    assert await each_harness.counted() == 2


async def test_one_producer_in_two_shards_counts_once(each_harness: Harness) -> None:
    each_harness.settings.shards = 2
    sent = [batch(each_harness.producer, seq) for seq in range(1, 51)]
    entries = [{"v": batches.FORMAT, "p": one.producer, "s": one.seq, "n": 1, "k": 1, "z": one.payload} for one in sent]
    async with each_harness.counter():
        for entry in entries:
            for number in (0, 1):
                each_harness.client.xadd(keys.events_key(number), entry)  # type: ignore[arg-type]
            await asyncio.sleep(0)
        await eventually(lambda: each_harness.progress() == 50, "all counted")
    assert await each_harness.counted() == 50


async def test_counting_resumes_after_a_locked_report_store(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "BUSY_MS", 50)
    async with harness.counter():
        async with sql.writing(harness.engine):
            harness.send(1)
            await asyncio.sleep(1.0)
        await eventually(lambda: harness.progress() == 1, "counted after the lock")
    assert await harness.counted() == 1


async def test_reading_resumes_when_the_stream_server_returns(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.send(1)
    failing = True
    read = Stream.read

    async def unreachable(self: Stream, *values: object) -> object:
        if failing:
            raise ConnectionError("away")
        return await read(self, *values)  # type: ignore[arg-type]

    monkeypatch.setattr(Stream, "read", unreachable)
    running = asyncio.create_task(harness.drain())
    await asyncio.sleep(0.5)
    failing = False
    await eventually(lambda: harness.progress() == 1, "counted")
    await running


async def test_only_committed_entries_are_trimmed(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise OSError("no store")

    for seq in (1, 2, 3):
        harness.send(seq)
    monkeypatch.setattr(shard, "DRAIN_SECONDS", 1.0)
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "commit", refuse)
        stopping = asyncio.Event()
        stopped = asyncio.create_task(process.run_counter(harness.settings, stopping, lambda: None))
        await asyncio.sleep(0.7)
        stopping.set()
        await stopped
    assert harness.client.xlen(keys.events_key(0)) == 3
    await harness.drain()
    assert harness.client.xlen(keys.events_key(0)) == 0
    assert await harness.counted() == 3


async def test_a_lowered_position_counts_nothing_twice(each_harness: Harness) -> None:
    for seq in (1, 2, 3):
        each_harness.send(seq)
    await each_harness.drain()
    async with sql.writing(each_harness.engine) as connection:
        await connection.execute(text("UPDATE positions SET stream_ms = 0, stream_seq = 0, incarnation = ''"))
    each_harness.send(1)
    each_harness.send(4)
    await each_harness.drain()
    assert await each_harness.counted() == 4


async def test_counting_resumes_after_the_stream_server_was_killed(
    valkey: ValkeyProcess, tmp_path: Path, anyio_backend: str
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'reports.sqlite3'}"
    async with RunningHarness(valkey, url) as harness:
        sent = [batch(harness.producer, seq) for seq in range(1, 31)]
        async with harness.counter():
            harness.ship(*sent[:10])
            await eventually(lambda: harness.progress() == 10, "the first ten")
            harness.ship(*sent[10:20])
            valkey.kill()
            await asyncio.sleep(0.3)
            valkey.start()
            harness.ship(*sent[9:])
            await eventually(lambda: harness.progress() == 30, "all")
        assert await harness.counted() == 30


async def test_a_full_stream_server_is_emptied(valkey: ValkeyProcess, tmp_path: Path, anyio_backend: str) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'reports.sqlite3'}"
    async with RunningHarness(valkey, url) as harness:
        harness.send(1)
        await harness.drain()
        for seq in (2, 3, 5):
            harness.send(seq)
        harness.client.config_set("maxmemory", "1")
        async with harness.counter():
            await eventually(lambda: harness.client.xlen(keys.events_key(0)) == 0, "the stream is empty")
            assert harness.progress() == 1, "no write is taken"
            harness.client.config_set("maxmemory", "0")
            await eventually(lambda: harness.progress() == 3, "progress is published later")
            await eventually(lambda: harness.token() is not None, "and the gap is requested again")
        assert await harness.counted() == 3


async def test_a_restored_store_withdraws_progress_that_it_does_not_hold(each_harness: Harness) -> None:
    harness = each_harness
    harness.send(1)
    await harness.drain()
    harness.client.hset(keys.progress_key(0), mapping={harness.producer: 7, "0" * 16: 3, b"\xff": 1})
    await harness.drain()
    assert harness.progress() == 1
    assert harness.progress("0" * 16) == 0
