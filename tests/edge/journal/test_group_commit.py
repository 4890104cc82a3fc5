"""Group commit: which events share a batch, and when a caller waits for the disk."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import orjson
import pytest

from onebyone.contracts import batches
from onebyone.edge.journal import disk_sync
from onebyone.edge.journal.disk_sync import KernelSync, ThreadSync
from onebyone.edge.journal.group_commit import BATCH_EVENTS, QUICK_SYNCS
from onebyone.edge.journal.writer import JournalWriter
from tests.edge.journal.group_commits import (
    FaultyJournal,
    Recorded,
    Waiter,
    answered_within_flush,
    group,
    on_a_quick_disk,
    submit,
    written,
)
from tests.edge.journal.held_disk import HeldDisk
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_a_lone_event_is_a_batch_of_its_own(journal: FaultyJournal) -> None:
    recorded = Recorded()
    commits = recorded.group_commit(journal)
    assert await submit(commits, b"a")
    assert await submit(commits, b"b")
    await commits.close()
    assert recorded.batches == [1, 1]
    assert written(journal) == [[b"a"], [b"b"]]


async def test_events_that_arrive_during_a_sync_share_the_next_batch(journal: FaultyJournal, disk: HeldDisk) -> None:
    recorded = Recorded()
    commits = recorded.group_commit(journal)
    disk.hang()
    first = [submit(commits, b"1") for _ in range(3)]
    await eventually(lambda: disk.in_progress, "a sync is in progress")
    second = [submit(commits, b"2") for _ in range(5)]
    assert not any(future.done() for future in first + second)
    disk.resume()
    assert all(await asyncio.gather(*first, *second))
    await commits.close()
    assert recorded.batches == [3, 5]


async def test_a_gathered_group_takes_queued_events_into_its_batch(journal: FaultyJournal) -> None:
    recorded = Recorded()
    commits = recorded.group_commit(journal)
    single = submit(commits, b"1")
    request_batch = Waiter()
    assert commits.submit(group(b"2", b"3"), request_batch, gathered=True)
    assert commits.submit(group(b"4"), None, gathered=True)
    assert all(await asyncio.gather(single, request_batch.future))
    await commits.close()
    assert recorded.batches == [3, 1]
    assert written(journal) == [[b"1", b"2", b"3"], [b"4"]]


async def test_batches_are_limited_and_keep_the_order(journal: FaultyJournal) -> None:
    recorded = Recorded()
    commits = recorded.group_commit(journal)
    futures = [submit(commits, b"%d" % number) for number in range(BATCH_EVENTS * 2 + 1)]
    assert all(await asyncio.gather(*futures))
    await commits.close()
    assert recorded.batches == [BATCH_EVENTS, BATCH_EVENTS, 1]
    events = [event for batch in written(journal) for event in batch]
    assert events == [b"%d" % number for number in range(BATCH_EVENTS * 2 + 1)]


async def test_a_full_batch_starts_without_the_loop(journal: FaultyJournal, disk: HeldDisk) -> None:
    recorded = Recorded()
    commits = recorded.group_commit(journal)
    disk.hang()
    assert commits.submit(group(b"first"), None, gathered=True)
    for _ in range(3):
        assert commits.submit(group(*[b"x"] * BATCH_EVENTS), None)
    disk.resume()
    for expected in ([1], [1, BATCH_EVENTS], [1, BATCH_EVENTS, BATCH_EVENTS]):
        # The loop has not run since.
        commits.poll()
        assert recorded.batches == expected
    await commits.close()


async def test_submit_refuses_when_too_many_events_wait(journal: FaultyJournal, disk: HeldDisk) -> None:
    commits = Recorded().group_commit(journal, limit=2)
    disk.hang()
    submit(commits, b"in progress")
    await eventually(lambda: disk.in_progress, "a sync is in progress")
    assert [commits.submit(group(b"x"), None) for _ in range(4)] == [True, True, False, False]
    disk.resume()
    await commits.close()


async def test_a_cancelled_request_does_not_affect_the_others(journal: FaultyJournal, disk: HeldDisk) -> None:
    commits = Recorded().group_commit(journal)
    disk.hang()
    futures = [submit(commits, b"x") for _ in range(3)]
    await eventually(lambda: disk.in_progress, "a sync is in progress")
    futures[1].cancel()
    disk.resume()
    assert await futures[0]
    assert await futures[2]
    await commits.close()
    assert journal.newest_seq() == 1


async def test_flush_waits_for_a_quick_disk_and_not_for_a_slow_one(
    journal: FaultyJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onebyone.edge.journal.group_commit.SLOW_SECONDS", 10.0)
    commits = Recorded().group_commit(journal)
    for _ in range(QUICK_SYNCS):
        assert not await answered_within_flush(commits), "the disk is not yet known to be quick"
    assert await answered_within_flush(commits)
    monkeypatch.setattr("onebyone.edge.journal.group_commit.SLOW_SECONDS", 0.0)
    await submit(commits, b"slow")
    monkeypatch.setattr("onebyone.edge.journal.group_commit.SLOW_SECONDS", 10.0)
    for _ in range(QUICK_SYNCS):
        assert not await answered_within_flush(commits), "the disk was slow a moment ago"
    assert await answered_within_flush(commits)
    await commits.close()
    assert journal.newest_seq() == 2 * QUICK_SYNCS + 3


async def test_consecutive_requests_gather_into_one_batch(
    journal: FaultyJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onebyone.edge.journal.group_commit.GATHER_SECONDS", 1.0)
    recorded = Recorded()
    commits = recorded.group_commit(journal)
    assert await submit(commits, b"the first starts immediately")
    second = submit(commits, b"x")
    await asyncio.sleep(0.05)
    assert all(await asyncio.gather(second, submit(commits, b"y")))
    await commits.close()
    assert recorded.batches == [1, 2]


async def test_a_group_is_never_split_and_may_exceed_a_batch(journal: FaultyJournal) -> None:
    recorded = Recorded()
    commits = recorded.group_commit(journal)
    waiters = [Waiter(), Waiter(), Waiter()]
    for waiter, many in zip(waiters, (2, BATCH_EVENTS + 1, 3), strict=True):
        assert commits.submit(group(*[b"x"] * many), waiter)
    assert all(await asyncio.gather(*(waiter.future for waiter in waiters)))
    await commits.close()
    assert recorded.batches == [2, BATCH_EVENTS + 1, 3]
    assert [row.events for row in journal.rows_after(0, 10)] == recorded.batches


async def test_groups_in_one_batch_keep_their_ids_and_times(journal: FaultyJournal, disk: HeldDisk) -> None:
    recorded = Recorded()
    commits = recorded.group_commit(journal, limit=6)
    disk.hang()
    sent = [submit(commits, b"first")]
    await eventually(lambda: disk.in_progress, "a sync is in progress")
    waiters = [Waiter(), Waiter(), Waiter()]
    heads = [batches.head_line(10, 5), batches.head_line(20, 6), batches.head_line(30, 7)]
    accepted = [commits.submit([head, *[b'"cb":"x"'] * 3], waiter) for head, waiter in zip(heads, waiters, strict=True)]
    assert accepted == [True, True, False], "events are counted, not lines"
    disk.resume()
    assert all(await asyncio.gather(*sent, *(waiter.future for waiter in waiters[:2])))
    await commits.close()
    assert recorded.batches == [1, 6]
    _, row = journal.rows_after(0, 10)
    stamps = [(event["id"], event["ts"]) for event in map(orjson.loads, batches.unpack(row.payload))]
    assert stamps == [(10, 5), (11, 5), (12, 5), (20, 6), (21, 6), (22, 6)]


async def test_a_gathered_group_is_on_a_quick_disk_after_flush(
    journal: FaultyJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded, commits = await on_a_quick_disk(journal, monkeypatch)
    before = list(recorded.batches)
    waiter = Waiter()
    assert commits.submit(group(b"y", b"z"), waiter, gathered=True)
    commits.flush()
    assert recorded.batches == [*before, 2]
    assert waiter.future.result()
    await commits.close()


async def test_a_hanging_disk_does_not_block_the_loop(journal: FaultyJournal, disk: HeldDisk) -> None:
    recorded = Recorded()
    commits = recorded.group_commit(journal)
    disk.hang()
    first = submit(commits, b"1")
    await eventually(lambda: disk.in_progress, "a sync is in progress")
    ran = asyncio.Event()
    asyncio.get_running_loop().call_soon(ran.set)
    await asyncio.wait_for(ran.wait(), 10)
    request_batch = Waiter()
    assert commits.submit(group(b"2", b"3"), request_batch, gathered=True)
    rest = [submit(commits, b"%d" % number) for number in range(4, 7)]
    assert not any(future.done() for future in (first, request_batch.future, *rest))
    assert written(journal) == [], "only batches on disk are shipped"
    disk.resume()
    assert all(await asyncio.gather(first, request_batch.future, *rest))
    await commits.close()
    assert recorded.batches == [1, 5]
    assert written(journal) == [[b"1"], [b"2", b"3", b"4", b"5", b"6"]]


async def test_flush_waits_once_for_a_quick_disk_that_hangs(
    journal: FaultyJournal, disk: HeldDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded, commits = await on_a_quick_disk(journal, monkeypatch)
    monkeypatch.setattr("onebyone.edge.journal.group_commit.SLOW_SECONDS", 0.05)
    disk.hang()
    waiters = [Waiter(), Waiter()]
    began = time.monotonic()
    assert commits.submit(group(b"1"), waiters[0], gathered=True)
    commits.flush()
    assert 0.04 < time.monotonic() - began < 5
    assert not waiters[0].future.done()
    monkeypatch.setattr("onebyone.edge.journal.group_commit.SLOW_SECONDS", 10.0)
    assert commits.submit(group(b"2"), waiters[1], gathered=True)
    commits.flush()
    disk.resume()
    assert all(await asyncio.gather(*(waiter.future for waiter in waiters)))
    await commits.close()
    assert recorded.batches[-2:] == [1, 1]


async def test_close_waits_for_the_batch_in_progress_and_for_queued_events(
    journal: FaultyJournal, disk: HeldDisk
) -> None:
    recorded = Recorded()
    commits = recorded.group_commit(journal)
    disk.hang()
    submit(commits, b"1")
    await eventually(lambda: disk.in_progress, "a sync is in progress")
    submit(commits, b"2")
    closing = asyncio.create_task(commits.close())
    await asyncio.sleep(0)
    assert not closing.done()
    disk.resume()
    await closing
    assert recorded.batches == [1, 1]


@pytest.mark.parametrize("kind", [KernelSync, ThreadSync], ids=["kernel", "thread"])
async def test_each_kind_of_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[KernelSync] | type[ThreadSync]
) -> None:
    monkeypatch.setattr(disk_sync, "open_disk_sync", kind)
    journal = JournalWriter.create(tmp_path, "00000000000000aa", 0)
    recorded, commits = await on_a_quick_disk(journal, monkeypatch)
    assert await answered_within_flush(commits)
    monkeypatch.setattr("onebyone.edge.journal.group_commit.SLOW_SECONDS", 0.0)
    for number in range(3):
        assert await submit(commits, b"%d" % number)
    await commits.close()
    assert sum(recorded.batches) == journal.newest_seq() == QUICK_SYNCS + 5
    journal.close()
