"""A group commit over a journal and a disk that fail on demand, with the callbacks that it makes."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import orjson
import pytest

from onebyone.contracts import batches
from onebyone.edge.journal.group_commit import QUICK_SYNCS, GroupCommit
from onebyone.edge.journal.writer import JournalWriter


class FaultyJournal(JournalWriter):
    """A journal that can refuse a batch before it is written."""

    error: Exception | None = None

    def begin_batch(self, events: int, payload: bytes) -> None:
        if self.error is not None:
            raise self.error
        super().begin_batch(events, payload)


class Recorded:
    """The callbacks that a `GroupCommit` has made."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.failures: list[tuple[int, bool]] = []

    def group_commit(self, journal: JournalWriter | None, limit: int = 10_000) -> GroupCommit:
        """Return a group commit that makes these callbacks."""

        def on_failure(events: int, fatal: bool) -> None:
            self.failures.append((events, fatal))

        return GroupCommit(journal, limit, self.batches.append, on_failure)


class Waiter:
    """Take the outcome once, as a future."""

    def __init__(self) -> None:
        self.future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def on_durable(self, ok: bool) -> None:
        self.future.set_result(ok)


def sqlite_error(code: int, name: str) -> sqlite3.OperationalError:
    """Return the error that SQLite raises with this code."""
    error: Any = sqlite3.OperationalError(name)
    error.sqlite_errorcode = code
    error.sqlite_errorname = name
    return error  # type: ignore[no-any-return]


def group(*events: bytes) -> list[bytes]:
    """Return a group of these events, received at the same time, with ids from 1 on."""
    return [batches.head_line(1, 5), *(b'"cb":"%b"' % event for event in events)]


def written(journal: JournalWriter) -> list[list[bytes]]:
    """Return the events in the journal, batch by batch."""
    payloads = [row.payload for row in journal.rows_after(0, 10)]
    return [[orjson.loads(line)["cb"].encode() for line in batches.unpack(payload)] for payload in payloads]


def submit(commits: GroupCommit, line: bytes) -> asyncio.Future[bool]:
    """Submit a group of one event; return the outcome."""
    waiter = Waiter()
    assert commits.submit(group(line), waiter)
    return waiter.future


async def answered_within_flush(commits: GroupCommit) -> bool:
    """Return whether a gathered group is on disk when `flush` returns."""
    waiter = Waiter()
    assert commits.submit(group(b"x"), waiter, gathered=True)
    commits.flush()
    done_within = waiter.future.done()
    assert await waiter.future
    return done_within


def on_an_unmeasured_disk(journal: JournalWriter) -> tuple[Recorded, GroupCommit]:
    """Return a group commit that does not know yet whether its disk is quick."""
    recorded = Recorded()
    return recorded, recorded.group_commit(journal)


async def on_a_quick_disk(journal: JournalWriter, monkeypatch: pytest.MonkeyPatch) -> tuple[Recorded, GroupCommit]:
    """Return a group commit that blocks for its disk, after `QUICK_SYNCS` + 1 batches."""
    monkeypatch.setattr("onebyone.edge.journal.group_commit.SLOW_SECONDS", 10.0)
    recorded = Recorded()
    commits = recorded.group_commit(journal)
    for _ in range(QUICK_SYNCS + 1):
        assert await submit(commits, b"x")
    return recorded, commits
