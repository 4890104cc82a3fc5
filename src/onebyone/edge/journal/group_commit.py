"""Group commit: all events that wait at the same moment share one commit and one sync.

The fast path submits whole request batches (`fastpath/batcher.py`), which are written immediately. An event of the
ASGI path that arrives after a pause is written as soon as the loop has read whatever arrived with it. While such events
keep arriving, each batch first gathers for `GATHER_SECONDS`: a commit costs as much as a dozen events, and without that
delay it would carry two or three. The journal's seq has no gaps: it advances only when a batch is on disk.

If the disk has recently been quick, `flush` blocks until the sync ends: whatever arrives meanwhile could only join the
next batch anyway. If the disk is slow, `flush` returns; the loop keeps reading and is notified when the sync ends.
"""

from __future__ import annotations

import asyncio
import errno
import select
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

import structlog

from onebyone.contracts import batches
from onebyone.edge.journal.disk_probe import describe
from onebyone.edge.journal.writer import JournalWriter
from onebyone.runtime.outage import Outage

BATCH_EVENTS = 500
"""Most events of one batch, and of one group that a caller submits: keeps a stream entry under 2 MB unpacked."""

GATHER_SECONDS = 0.001
"""Pause between the end of one commit and the start of the next, unless nothing arrived for as long. A lone request
never pays it; a request of a busy loop waits a millisecond at most for a fuller batch."""
SLOW_SECONDS = 0.02
"""A longer sync marks the disk as slow: blocking the loop any longer would delay every client, not only those whose
events are in the batch."""
QUICK_SYNCS = 20
"""Consecutive syncs within `SLOW_SECONDS` after which the disk counts as quick: one slow sync is rarely alone."""


class Waiter(Protocol):
    """A request or request batch that waits until its events are on disk."""

    def on_durable(self, ok: bool) -> None:
        """Take the outcome: the events are on disk, or (`ok` false) the disk refused them. Called on the loop."""


_REFUSED, _ACCEPTED = "journal refused a batch", "journal takes batches again"

_log = structlog.get_logger()


class GroupCommit:
    """Write the events of one process to its journal. Call every method on the event loop's thread."""

    def __init__(
        self,
        journal: JournalWriter | None,
        pending_events: int,
        on_batch: Callable[[int], None],
        on_failure: Callable[[int, bool], None],
    ) -> None:
        """Refuse events while `pending_events` or more wait; if `journal` is None, refuse all until `open` is called.

        Call `on_batch(events)` after each synced batch, and `on_failure(events, fatal)` for each refused one; after a
        fatal failure every later batch is refused too.
        """
        self._limit = pending_events
        self._on_batch = on_batch
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._groups: deque[tuple[list[bytes], Waiter | None]] = deque()
        self._pending = 0
        self._fatal = False
        self._journal_gone = False
        self._sync_began = 0.0
        self._quick_syncs = 0
        self._in_progress: tuple[int, list[Waiter]] | None = None
        self._gather_until = 0.0
        self._scheduled: asyncio.Handle | None = None
        self._busy = False
        self._refusals = Outage(_REFUSED, _ACCEPTED, level="error")
        self.synced_at = float("-inf")
        """When the sync of the last batch on disk began, on the monotonic clock."""
        self.refused_at = float("-inf")
        """When the journal last refused a batch, on the monotonic clock."""
        self.refusal = ""
        """Why it did, in words."""
        self._failures = Outage(_REFUSED, _ACCEPTED, level="error")
        """Fatal refusals, which never end: the first is logged even if a full disk has refused batches before."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._sync_ended = select.poll()
        self._journal: JournalWriter | None = None
        if journal is not None:
            self.open(journal)

    def open(self, journal: JournalWriter) -> None:
        """Start writing to `journal`, which could not be created when this object was."""
        self._journal = journal
        self._sync_ended.register(journal.fd, select.POLLIN)
        self._loop.add_reader(journal.fd, self.poll)

    @property
    def opened(self) -> bool:
        """Whether there is a journal."""
        return self._journal is not None

    @property
    def fatal(self) -> bool:
        """Whether the journal has failed in a way after which every batch is refused."""
        return self._fatal

    @property
    def recording(self) -> bool:
        """Whether there is a journal and it accepted the last batch."""
        return not (self._journal is None or self._fatal or self._journal_gone or self._refusals.ongoing)

    @property
    def waiting_seconds(self) -> float:
        """How long the sync in progress has taken so far; 0 if there is none."""
        return 0.0 if self._in_progress is None else time.monotonic() - self._sync_began

    def refuse_all(self) -> None:
        """Refuse every later batch, because the files of the journal are gone: a crash would lose what is written."""
        self._journal_gone = True

    def submit(self, group: list[bytes], waiter: Waiter | None, gathered: bool = False) -> bool:
        """Queue a group: a head line and one line per event (`contracts/batches.py`). Notify `waiter` of the outcome.

        Return False, and queue nothing, if too many events wait already. A `gathered` group starts the next batch
        immediately, together with everything queued, unless another batch is still being synced.
        """
        if self._pending >= self._limit:
            return False
        self._groups.append((group, waiter))
        self._pending += len(group) - 1
        if not self._busy:
            self._busy = True
            self._idle.clear()
            wait = self._gather_until - time.monotonic()
            if gathered:
                self._start_batch()
            elif wait > 0:
                self._scheduled = self._loop.call_later(wait, self._start_batch)
            else:
                # After the loop has handled everything that it read in this pass, so that requests that arrived
                # together are committed together.
                self._scheduled = self._loop.call_soon(self._start_batch)
        elif gathered and self._scheduled is not None:
            self._scheduled.cancel()
            self._start_batch()
        return True

    def flush(self) -> None:
        """Block until every queued event is on disk or refused and its waiter notified. Return early on a slow disk."""
        while self._busy and self._quick_syncs >= QUICK_SYNCS:
            if self._scheduled is not None:
                self._scheduled.cancel()
                self._start_batch()
            elif self._sync_ended.poll(SLOW_SECONDS * 1000):
                self.poll()
            else:
                self._quick_syncs = 0

    async def close(self) -> None:
        """Wait until every queued event is on disk or refused."""
        await self._idle.wait()
        if self._journal is not None:
            self._loop.remove_reader(self._journal.fd)

    def _start_batch(self) -> None:
        self._scheduled = None
        events = 0
        lines: list[bytes] = []
        waiters: list[Waiter] = []
        while self._groups and (not lines or events + len(self._groups[0][0]) - 1 <= BATCH_EVENTS):
            group, waiter = self._groups.popleft()
            lines += group
            events += len(group) - 1
            if waiter is not None:
                waiters.append(waiter)
        self._pending -= events
        failure = self._begin_sync(events, lines)
        if failure is None:
            self._in_progress = events, waiters
        else:
            self._finish_batch(events, waiters, failure)

    def _begin_sync(self, events: int, lines: list[bytes]) -> Exception | None:
        """Start writing a batch; return the error, or None when its sync is in progress."""
        if self._journal is None:
            return RuntimeError("there is no journal yet")
        if self._fatal:
            return RuntimeError("the journal has failed before")
        if self._journal_gone:
            return FileNotFoundError(errno.ENOENT, "the files of the journal are gone")
        self._sync_began = time.monotonic()
        try:
            self._journal.begin_batch(events, batches.pack(lines))
        except Exception as error:
            self._fatal = _is_fatal(error)
            return error
        return None

    def poll(self) -> None:
        """Notify the waiters of the batch in progress if it has been synced, and start the next batch."""
        if self._journal is None or self._in_progress is None:
            return
        failure = None
        try:
            if not self._journal.poll_synced():
                return
        except Exception as error:
            self._fatal = _is_fatal(error)
            failure = error
        self._quick_syncs = self._quick_syncs + 1 if time.monotonic() - self._sync_began < SLOW_SECONDS else 0
        events, waiters = self._in_progress
        self._in_progress = None
        self._finish_batch(events, waiters, failure)

    def _finish_batch(self, events: int, waiters: list[Waiter], failure: Exception | None) -> None:
        if failure is None:
            self.synced_at = self._sync_began
            self._on_batch(events)
            self._refusals.succeeded()
        else:
            self.refused_at, self.refusal = time.monotonic(), describe(failure)
            self._on_failure(events, self._fatal)
            name = getattr(failure, "sqlite_errorname", None)
            refusals = self._failures if self._fatal else self._refusals
            refusals.failed(failure, events=events, fatal=self._fatal, sqlite_error=name)
        for waiter in waiters:
            try:
                waiter.on_durable(failure is None)
            except Exception:
                # An error in one connection must not cost the others of the batch their answer.
                _log.exception("a waiter failed")
        if failure is None and self._pending >= BATCH_EVENTS:
            self._start_batch()
        elif self._groups:
            # Let the loop read what arrived during the last sync, so that it joins this batch.
            self._scheduled = self._loop.call_soon(self._start_batch)
        else:
            self._busy = False
            self._idle.set()
            self._gather_until = time.monotonic() + GATHER_SECONDS


def _is_fatal(error: Exception) -> bool:
    # A full disk may get room again. After any other error, above all a failed sync, nobody can know which pages the
    # kernel dropped, so the process must end. Waiting requests are answered in either case.
    return getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL
