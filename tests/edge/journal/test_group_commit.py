"""Group commit: who waits for what, and what a refusal, a disk that hangs or a cancelled request does to the others."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from onebyone.contracts import batches
from onebyone.edge.journal import disk_sync
from onebyone.edge.journal.disk_sync import KernelSync, ThreadSync
from onebyone.edge.journal.group_commit import BATCH_EVENTS, QUICK_SYNCS, GroupCommit
from onebyone.edge.journal.writer import JournalWriter
from tests.edge.journal.held_disk import HeldDisk
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


class Faulty(JournalWriter):
    """A journal that may refuse a batch before it is written."""

    fault: Exception | None = None

    def begin_batch(self, events: int, payload: bytes) -> None:
        if self.fault is not None:
            raise self.fault
        super().begin_batch(events, payload)


@pytest.fixture
def disk() -> HeldDisk:
    """The disk of the journal."""
    return HeldDisk()


@pytest.fixture
def journal(tmp_path: Path, disk: HeldDisk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faulty]:
    monkeypatch.setattr(disk_sync, "open_disk_sync", disk.of)
    made = Faulty.create(tmp_path, "00000000000000aa", 0)
    assert isinstance(made, Faulty)
    yield made
    made.close()


class Noted:
    """Calls of a `GroupCommit`."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.failures: list[tuple[int, bool]] = []

    def commits(self, journal: JournalWriter | None, limit: int = 10_000) -> GroupCommit:
        def on_failure(events: int, fatal: bool) -> None:
            self.failures.append((events, fatal))

        return GroupCommit(journal, limit, self.batches.append, on_failure)


def fault(code: int, name: str) -> sqlite3.OperationalError:
    error: Any = sqlite3.OperationalError(name)
    error.sqlite_errorcode = code
    error.sqlite_errorname = name
    return error  # type: ignore[no-any-return]


class Waiter:
    """Hears once whether its event is on disk."""

    def __init__(self) -> None:
        self.future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def on_durable(self, ok: bool) -> None:
        self.future.set_result(ok)


def group(*events: bytes) -> list[bytes]:
    """Events that belong together: of the same time, with ids from 1 on."""
    return [batches.head_line(1, 5), *(b'"cb":"%b"' % event for event in events)]


def written(journal: JournalWriter) -> list[list[bytes]]:
    """What is in the journal, by batch."""
    payloads = [row.payload for row in journal.rows_after(0, 10)]
    return [[orjson.loads(line)["cb"].encode() for line in batches.unpack(payload)] for payload in payloads]


def submit(commits: GroupCommit, line: bytes) -> asyncio.Future[bool]:
    waiter = Waiter()
    assert commits.submit(group(line), waiter)
    return waiter.future


async def test_a_lone_event_is_a_batch_of_its_own(journal: Faulty) -> None:
    noted = Noted()
    commits = noted.commits(journal)
    assert await submit(commits, b"a")
    assert await submit(commits, b"b")
    await commits.close()
    assert noted.batches == [1, 1]
    assert written(journal) == [[b"a"], [b"b"]]


async def test_what_arrives_together_or_during_a_sync_shares_the_next_one(journal: Faulty, disk: HeldDisk) -> None:
    noted = Noted()
    commits = noted.commits(journal)
    disk.hang()
    first = [submit(commits, b"1") for _ in range(3)]
    await eventually(lambda: disk.under_way, "it is under way")
    second = [submit(commits, b"2") for _ in range(5)]
    assert not any(future.done() for future in first + second)
    disk.go_on()
    assert all(await asyncio.gather(*first, *second))
    await commits.close()
    assert noted.batches == [3, 5]


async def test_what_has_gathered_takes_along_what_still_gathers(journal: Faulty) -> None:
    noted = Noted()
    commits = noted.commits(journal)
    single = submit(commits, b"1")
    turn = Waiter()
    assert commits.submit(group(b"2", b"3"), turn, gathered=True)
    assert commits.submit(group(b"4"), None, gathered=True)
    assert all(await asyncio.gather(single, turn.future))
    await commits.close()
    assert noted.batches == [3, 1]
    assert written(journal) == [[b"1", b"2", b"3"], [b"4"]]


async def test_a_batch_has_a_limit_and_the_rest_follows_in_order(journal: Faulty) -> None:
    noted = Noted()
    commits = noted.commits(journal)
    futures = [submit(commits, b"%d" % number) for number in range(BATCH_EVENTS * 2 + 1)]
    assert all(await asyncio.gather(*futures))
    await commits.close()
    assert noted.batches == [BATCH_EVENTS, BATCH_EVENTS, 1]
    events = [event for batch in written(journal) for event in batch]
    assert events == [b"%d" % number for number in range(BATCH_EVENTS * 2 + 1)]


async def test_a_whole_batch_waits_for_nobody(journal: Faulty, disk: HeldDisk) -> None:
    noted = Noted()
    commits = noted.commits(journal)
    disk.hang()
    assert commits.submit(group(b"first"), None, gathered=True)
    for _ in range(3):
        assert commits.submit(group(*[b"x"] * BATCH_EVENTS), None)
    disk.go_on()
    for expected in ([1], [1, BATCH_EVENTS], [1, BATCH_EVENTS, BATCH_EVENTS]):
        # Not once has the loop had a chance.
        commits.poll()
        assert noted.batches == expected
    await commits.close()


async def test_too_many_waiting_events_are_turned_away(journal: Faulty, disk: HeldDisk) -> None:
    commits = Noted().commits(journal, limit=2)
    disk.hang()
    submit(commits, b"on its way")
    await eventually(lambda: disk.under_way, "it is under way")
    assert [commits.submit(group(b"x"), None) for _ in range(4)] == [True, True, False, False]
    disk.go_on()
    await commits.close()


async def test_a_request_that_went_away_disturbs_nobody(journal: Faulty, disk: HeldDisk) -> None:
    commits = Noted().commits(journal)
    disk.hang()
    futures = [submit(commits, b"x") for _ in range(3)]
    await eventually(lambda: disk.under_way, "it is under way")
    futures[1].cancel()
    disk.go_on()
    assert await futures[0]
    assert await futures[2]
    await commits.close()
    assert journal.newest_seq() == 1


async def test_a_full_disk_refuses_and_leaves_no_hole(journal: Faulty) -> None:
    noted = Noted()
    commits = noted.commits(journal)
    journal.fault = fault(sqlite3.SQLITE_FULL, "SQLITE_FULL")
    assert await submit(commits, b"lost") is False
    journal.fault = None
    assert await submit(commits, b"kept") is True
    await commits.close()
    assert noted.failures == [(1, False)]
    assert journal.newest_seq() == 1


async def test_after_a_failed_sync_nothing_is_believed(journal: Faulty) -> None:
    noted = Noted()
    commits = noted.commits(journal)
    journal.fault = fault(sqlite3.SQLITE_IOERR_FSYNC, "SQLITE_IOERR_FSYNC")
    assert await submit(commits, b"a") is False
    journal.fault = None
    assert await submit(commits, b"b") is False
    await commits.close()
    assert noted.failures == [(1, True), (1, True)]
    assert journal.newest_seq() == 0
    assert not commits.recording


@pytest.mark.parametrize("quick", [False, True], ids=["the loop hears", "waited for"])
async def test_what_the_disk_refuses_at_the_end_is_fatal(
    journal: Faulty, disk: HeldDisk, monkeypatch: pytest.MonkeyPatch, quick: bool
) -> None:
    noted, commits = await on_a_quick_disk(journal, monkeypatch) if quick else on_an_unknown_disk(journal)
    before = journal.newest_seq()
    disk.refuses = OSError(errno.EIO, "Input/output error")
    assert await submit(commits, b"a") is False
    disk.refuses = None
    assert await submit(commits, b"b") is False
    await commits.close()
    assert noted.failures == [(1, True), (1, True)]
    assert journal.newest_seq() == before
    assert written(journal)[before:] == []


async def test_a_disk_that_refuses_after_a_hang_answers_all_that_wait(journal: Faulty, disk: HeldDisk) -> None:
    noted = Noted()
    commits = noted.commits(journal)
    disk.hang()
    first = submit(commits, b"a")
    await eventually(lambda: disk.under_way, "it is under way")
    second = [submit(commits, b"b") for _ in range(3)]
    disk.refuses = OSError(errno.EIO, "Input/output error")
    disk.go_on()
    assert await asyncio.gather(first, *second) == [False] * 4
    await commits.close()
    assert noted.failures == [(1, True), (3, True)]
    assert (noted.batches, journal.newest_seq()) == ([], 0)


async def test_a_sync_that_cannot_begin_is_fatal_though_the_row_is_written(journal: Faulty, disk: HeldDisk) -> None:
    noted = Noted()
    commits = noted.commits(journal)
    assert await submit(commits, b"kept")
    disk.refuses_to_begin = OSError(errno.EIO, "Input/output error")
    assert await submit(commits, b"in doubt") is False
    disk.refuses_to_begin = None
    assert await submit(commits, b"refused") is False
    await commits.close()
    assert noted.failures == [(1, True), (1, True)]
    assert written(journal) == [[b"kept"]], "what is in doubt is not shipped by this process"


@pytest.mark.parametrize(
    "error", [sqlite3.ProgrammingError("no code"), MemoryError()], ids=["no error code", "any other"]
)
async def test_whatever_is_raised_the_requests_are_answered(journal: Faulty, error: Exception) -> None:
    noted = Noted()
    commits = noted.commits(journal)
    journal.fault = error
    assert await submit(commits, b"a") is False
    await commits.close()
    assert noted.failures == [(1, True)]


async def answered_at_once(commits: GroupCommit) -> bool:
    waiter = Waiter()
    assert commits.submit(group(b"x"), waiter, gathered=True)
    commits.flush()
    within = waiter.future.done()
    assert await waiter.future
    return within


async def test_a_quick_disk_is_waited_for_and_a_slow_one_is_not(
    journal: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onebyone.edge.journal.group_commit.SLOW_SECONDS", 10.0)
    commits = Noted().commits(journal)
    for _ in range(QUICK_SYNCS):
        assert not await answered_at_once(commits), "nobody knows the disk yet"
    assert await answered_at_once(commits)
    monkeypatch.setattr("onebyone.edge.journal.group_commit.SLOW_SECONDS", 0.0)
    await submit(commits, b"slow")
    monkeypatch.setattr("onebyone.edge.journal.group_commit.SLOW_SECONDS", 10.0)
    for _ in range(QUICK_SYNCS):
        assert not await answered_at_once(commits), "it has been slow"
    assert await answered_at_once(commits)
    await commits.close()
    assert journal.newest_seq() == 2 * QUICK_SYNCS + 3


def on_an_unknown_disk(journal: JournalWriter) -> tuple[Noted, GroupCommit]:
    noted = Noted()
    return noted, noted.commits(journal)


async def on_a_quick_disk(journal: JournalWriter, monkeypatch: pytest.MonkeyPatch) -> tuple[Noted, GroupCommit]:
    """Commits that wait for the disk, after `QUICK_SYNCS` + 1 batches."""
    monkeypatch.setattr("onebyone.edge.journal.group_commit.SLOW_SECONDS", 10.0)
    noted = Noted()
    commits = noted.commits(journal)
    for _ in range(QUICK_SYNCS + 1):
        assert await submit(commits, b"x")
    return noted, commits


async def test_a_refusal_by_a_quick_disk_is_a_refusal(journal: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    noted, commits = await on_a_quick_disk(journal, monkeypatch)
    journal.fault = fault(sqlite3.SQLITE_FULL, "SQLITE_FULL")
    assert await submit(commits, b"lost") is False
    journal.fault = None
    assert await submit(commits, b"kept") is True
    await commits.close()
    assert noted.failures == [(1, False)]
    assert journal.newest_seq() == QUICK_SYNCS + 2


async def test_requests_that_come_one_after_the_other_gather(journal: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onebyone.edge.journal.group_commit.GATHER_SECONDS", 1.0)
    noted = Noted()
    commits = noted.commits(journal)
    assert await submit(commits, b"the first goes at once")
    second = submit(commits, b"x")
    await asyncio.sleep(0.05)
    assert all(await asyncio.gather(second, submit(commits, b"y")))
    await commits.close()
    assert noted.batches == [1, 2]


async def test_a_group_is_never_split_and_may_be_a_batch_of_its_own(journal: Faulty) -> None:
    noted = Noted()
    commits = noted.commits(journal)
    waiters = [Waiter(), Waiter(), Waiter()]
    for waiter, many in zip(waiters, (2, BATCH_EVENTS + 1, 3), strict=True):
        assert commits.submit(group(*[b"x"] * many), waiter)
    assert all(await asyncio.gather(*(waiter.future for waiter in waiters)))
    await commits.close()
    assert noted.batches == [2, BATCH_EVENTS + 1, 3]
    assert [row.events for row in journal.rows_after(0, 10)] == noted.batches


async def test_groups_share_a_batch_and_keep_their_ids_and_times(journal: Faulty, disk: HeldDisk) -> None:
    noted = Noted()
    commits = noted.commits(journal, limit=6)
    disk.hang()
    sent = [submit(commits, b"first")]
    await eventually(lambda: disk.under_way, "it is under way")
    waiters = [Waiter(), Waiter(), Waiter()]
    heads = [batches.head_line(10, 5), batches.head_line(20, 6), batches.head_line(30, 7)]
    added = [commits.submit([head, *[b'"cb":"x"'] * 3], waiter) for head, waiter in zip(heads, waiters, strict=True)]
    assert added == [True, True, False], "events are counted, not lines"
    disk.go_on()
    assert all(await asyncio.gather(*sent, *(waiter.future for waiter in waiters[:2])))
    await commits.close()
    assert noted.batches == [1, 6]
    _, row = journal.rows_after(0, 10)
    told = [(event["id"], event["ts"]) for event in map(orjson.loads, batches.unpack(row.payload))]
    assert told == [(10, 5), (11, 5), (12, 5), (20, 6), (21, 6), (22, 6)]


async def test_what_has_gathered_goes_to_a_quick_disk_at_once(journal: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    noted, commits = await on_a_quick_disk(journal, monkeypatch)
    before = list(noted.batches)
    waiter = Waiter()
    assert commits.submit(group(b"y", b"z"), waiter, gathered=True)
    commits.flush()
    assert noted.batches == [*before, 2]
    assert waiter.future.result()
    await commits.close()


async def test_a_disk_that_hangs_does_not_stop_the_loop(journal: Faulty, disk: HeldDisk) -> None:
    noted = Noted()
    commits = noted.commits(journal)
    disk.hang()
    first = submit(commits, b"1")
    await eventually(lambda: disk.under_way, "it is under way")
    ran = asyncio.Event()
    asyncio.get_running_loop().call_soon(ran.set)
    await asyncio.wait_for(ran.wait(), 10)
    turn = Waiter()
    assert commits.submit(group(b"2", b"3"), turn, gathered=True)
    rest = [submit(commits, b"%d" % number) for number in range(4, 7)]
    assert not any(future.done() for future in (first, turn.future, *rest))
    assert written(journal) == [], "nothing is shipped that is not on disk"
    disk.go_on()
    assert all(await asyncio.gather(first, turn.future, *rest))
    await commits.close()
    assert noted.batches == [1, 5]
    assert written(journal) == [[b"1"], [b"2", b"3", b"4", b"5", b"6"]]


async def test_a_quick_disk_that_hangs_is_waited_for_once_and_so_long(
    journal: Faulty, disk: HeldDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted, commits = await on_a_quick_disk(journal, monkeypatch)
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
    disk.go_on()
    assert all(await asyncio.gather(*(waiter.future for waiter in waiters)))
    await commits.close()
    assert noted.batches[-2:] == [1, 1]


async def test_closing_waits_for_what_is_under_way_and_for_what_gathers(journal: Faulty, disk: HeldDisk) -> None:
    noted = Noted()
    commits = noted.commits(journal)
    disk.hang()
    submit(commits, b"1")
    await eventually(lambda: disk.under_way, "it is under way")
    submit(commits, b"2")
    closing = asyncio.create_task(commits.close())
    await asyncio.sleep(0)
    assert not closing.done()
    disk.go_on()
    await closing
    assert noted.batches == [1, 1]


@pytest.mark.parametrize("kind", [KernelSync, ThreadSync], ids=["kernel", "thread"])
async def test_each_kind_of_sync_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[KernelSync] | type[ThreadSync]
) -> None:
    monkeypatch.setattr(disk_sync, "open_disk_sync", kind)
    own = JournalWriter.create(tmp_path, "00000000000000aa", 0)
    noted, commits = await on_a_quick_disk(own, monkeypatch)
    assert await answered_at_once(commits)
    monkeypatch.setattr("onebyone.edge.journal.group_commit.SLOW_SECONDS", 0.0)
    for number in range(3):
        assert await submit(commits, b"%d" % number)
    await commits.close()
    assert sum(noted.batches) == own.newest_seq() == QUICK_SYNCS + 5
    own.close()


async def test_without_a_journal_all_is_refused_until_there_is_one(journal: Faulty) -> None:
    noted = Noted()
    commits = noted.commits(None)
    assert await submit(commits, b"too early") is False
    assert not commits.recording
    commits.open(journal)
    assert await submit(commits, b"x") is True
    await commits.close()
    assert commits.recording
    assert (noted.failures, noted.batches, written(journal)) == ([(1, False)], [1], [[b"x"]])
