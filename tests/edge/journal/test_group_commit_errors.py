"""Group commit when the journal or the disk refuses: no gap, no false receipt, and an answer for every waiter."""

from __future__ import annotations

import asyncio
import errno
import sqlite3

import pytest
from structlog.testing import capture_logs

from onebyone.edge.journal.group_commit import QUICK_SYNCS
from tests.edge.journal.group_commits import (
    FaultyJournal,
    Recorded,
    on_a_quick_disk,
    on_an_unmeasured_disk,
    sqlite_error,
    submit,
    written,
)
from tests.edge.journal.held_disk import HeldDisk
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_events_are_refused_until_the_journal_is_open(journal: FaultyJournal) -> None:
    recorded = Recorded()
    commits = recorded.group_commit(None)
    assert await submit(commits, b"too early") is False
    assert not commits.recording
    commits.open(journal)
    assert await submit(commits, b"x") is True
    await commits.close()
    assert commits.recording
    assert (recorded.failures, recorded.batches, written(journal)) == ([(1, False)], [1], [[b"x"]])


async def test_a_full_disk_refuses_and_leaves_no_gap_in_the_seq(journal: FaultyJournal) -> None:
    recorded = Recorded()
    commits = recorded.group_commit(journal)
    journal.error = sqlite_error(sqlite3.SQLITE_FULL, "SQLITE_FULL")
    assert await submit(commits, b"lost") is False
    journal.error = None
    assert await submit(commits, b"kept") is True
    await commits.close()
    assert recorded.failures == [(1, False)]
    assert journal.newest_seq() == 1


async def test_a_refusal_by_a_quick_disk_is_reported(journal: FaultyJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded, commits = await on_a_quick_disk(journal, monkeypatch)
    journal.error = sqlite_error(sqlite3.SQLITE_FULL, "SQLITE_FULL")
    assert await submit(commits, b"lost") is False
    journal.error = None
    assert await submit(commits, b"kept") is True
    await commits.close()
    assert recorded.failures == [(1, False)]
    assert journal.newest_seq() == QUICK_SYNCS + 2


async def test_after_a_failed_sync_every_batch_is_refused(journal: FaultyJournal) -> None:
    recorded = Recorded()
    commits = recorded.group_commit(journal)
    journal.error = sqlite_error(sqlite3.SQLITE_IOERR_FSYNC, "SQLITE_IOERR_FSYNC")
    assert await submit(commits, b"a") is False
    journal.error = None
    assert await submit(commits, b"b") is False
    await commits.close()
    assert recorded.failures == [(1, True), (1, True)]
    assert journal.newest_seq() == 0
    assert not commits.recording


async def test_a_fatal_error_is_logged_although_the_disk_was_full_before(journal: FaultyJournal) -> None:
    commits = Recorded().group_commit(journal)
    with capture_logs() as lines:
        for code, name in ((sqlite3.SQLITE_FULL, "SQLITE_FULL"), (sqlite3.SQLITE_IOERR, "SQLITE_IOERR")):
            journal.error = sqlite_error(code, name)
            for _ in range(2):
                assert await submit(commits, b"lost") is False
    await commits.close()
    assert [(line["sqlite_error"], line["fatal"]) for line in lines] == [("SQLITE_FULL", False), ("SQLITE_IOERR", True)]
    assert not commits.recording


@pytest.mark.parametrize("quick", [False, True], ids=["notified by the loop", "waited for in flush"])
async def test_an_error_at_the_end_of_a_sync_is_fatal(
    journal: FaultyJournal, disk: HeldDisk, monkeypatch: pytest.MonkeyPatch, quick: bool
) -> None:
    recorded, commits = await on_a_quick_disk(journal, monkeypatch) if quick else on_an_unmeasured_disk(journal)
    before = journal.newest_seq()
    disk.sync_error = OSError(errno.EIO, "Input/output error")
    assert await submit(commits, b"a") is False
    disk.sync_error = None
    assert await submit(commits, b"b") is False
    await commits.close()
    assert recorded.failures == [(1, True), (1, True)]
    assert journal.newest_seq() == before
    assert written(journal)[before:] == []


async def test_an_error_after_a_hang_answers_every_waiter(journal: FaultyJournal, disk: HeldDisk) -> None:
    recorded = Recorded()
    commits = recorded.group_commit(journal)
    disk.hang()
    first = submit(commits, b"a")
    await eventually(lambda: disk.in_progress, "a sync is in progress")
    second = [submit(commits, b"b") for _ in range(3)]
    disk.sync_error = OSError(errno.EIO, "Input/output error")
    disk.resume()
    assert await asyncio.gather(first, *second) == [False] * 4
    await commits.close()
    assert recorded.failures == [(1, True), (3, True)]
    assert (recorded.batches, journal.newest_seq()) == ([], 0)


async def test_a_sync_that_cannot_start_is_fatal_though_the_row_is_written(
    journal: FaultyJournal, disk: HeldDisk
) -> None:
    recorded = Recorded()
    commits = recorded.group_commit(journal)
    assert await submit(commits, b"kept")
    disk.start_error = OSError(errno.EIO, "Input/output error")
    assert await submit(commits, b"in doubt") is False
    disk.start_error = None
    assert await submit(commits, b"refused") is False
    await commits.close()
    assert recorded.failures == [(1, True), (1, True)]
    assert written(journal) == [[b"kept"]], "a batch whose sync never started is not shipped by this process"


@pytest.mark.parametrize(
    "error", [sqlite3.ProgrammingError("no code"), MemoryError()], ids=["no error code", "any other"]
)
async def test_requests_are_answered_whatever_the_journal_raises(journal: FaultyJournal, error: Exception) -> None:
    recorded = Recorded()
    commits = recorded.group_commit(journal)
    journal.error = error
    assert await submit(commits, b"a") is False
    await commits.close()
    assert recorded.failures == [(1, True)]
