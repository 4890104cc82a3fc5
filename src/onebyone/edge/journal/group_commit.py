"""Group commit: all requests that wait share one sync.

The events of the fast way come by turns (`turns.py`), which have gathered already. An event of the ASGI way that comes
after a pause goes to the disk at once, with all that the loop has read at the same time; while such events come one
after the other, each batch gathers for a moment first: a commit costs as much as a dozen events, and without that
moment it would carry two or three. The journal's seq has no holes: it moves only when a batch is on disk.

The sync of a disk that has lately been quick is waited for: what comes meanwhile goes to the next one in any case. A
slow one is not: the loop hears of its end, and reads what comes until then.
"""

from __future__ import annotations

import asyncio
import select
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

import structlog

from onebyone.contracts import batches
from onebyone.edge.journal.writer import JournalWriter

BATCH_EVENTS = 500
"""Events of one batch at most, and of what is added together: a stream entry stays under two megabytes, unpacked."""

GATHER_SECONDS = 0.001
"""From the end of one commit to the beginning of the next, unless nothing has come for as long."""
SLOW_SECONDS = 0.02
"""A sync that takes longer is slow: nobody but its own requests waits for it, and for the next ones."""
QUICK_SYNCS = 20
"""So many in a row that are not slow, and the disk is quick again."""


class Waiter(Protocol):
    """Who waits for events to be on disk."""

    def on_durable(self, ok: bool) -> None:
        """They are on disk, or the disk refused them. Called on the loop's thread."""


_log = structlog.get_logger()


class GroupCommit:
    """Writes events of one process to its journal; all methods belong to the event loop's thread."""

    def __init__(
        self,
        journal: JournalWriter | None,
        pending_events: int,
        on_batch: Callable[[int], None],
        on_failure: Callable[[int, bool], None],
    ) -> None:
        """On the loop: `on_batch(events)` after each sync, `on_failure(events, fatal)` when the disk refused one.

        Without a journal everything is refused until `open`.
        """
        self._limit = pending_events
        self._on_batch = on_batch
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._groups: deque[tuple[list[bytes], Waiter | None]] = deque()
        self._pending = 0
        self._fatal = False
        self._began = 0.0
        self._quick = 0
        self._under_way: tuple[int, list[Waiter]] | None = None
        self._gather_until = 0.0
        self._gathering: asyncio.Handle | None = None
        self._busy = False
        self._refusing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._ended = select.poll()
        self._journal: JournalWriter | None = None
        if journal is not None:
            self.open(journal)

    def open(self, journal: JournalWriter) -> None:
        """The journal that could not be made before: what comes from now on goes there."""
        self._journal = journal
        self._ended.register(journal.fd, select.POLLIN)
        self._loop.add_reader(journal.fd, self.poll)

    @property
    def recording(self) -> bool:
        """Whether there is a journal, and it took the last batch."""
        return self._journal is not None and not self._refusing

    def submit(self, group: list[bytes], waiter: Waiter | None, gathered: bool = False) -> bool:
        """Queues a group, its head line and a line for each event (`batches.py`), and tells the waiter, on the loop,
        whether it is on disk. False: too many events wait already.

        Events that are `gathered` have waited for others: they go to the disk at once, with those that still wait for
        others, unless a batch is under way there.
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
                self._next()
            elif wait > 0:
                self._gathering = self._loop.call_later(wait, self._next)
            else:
                # Behind what the loop has read at the same time, so that requests that arrived together go together.
                self._gathering = self._loop.call_soon(self._next)
        elif gathered and self._gathering is not None:
            self._gathering.cancel()
            self._next()
        return True

    def flush(self) -> None:
        """Blocks until all that was queued is on disk or refused, and who waited was told; but not for a slow disk."""
        while self._busy and self._quick >= QUICK_SYNCS:
            if self._gathering is not None:
                self._gathering.cancel()
                self._next()
            elif self._ended.poll(SLOW_SECONDS * 1000):
                self.poll()
            else:
                self._quick = 0

    async def close(self) -> None:
        """Waits until all that was queued is on disk or refused."""
        await self._idle.wait()
        if self._journal is not None:
            self._loop.remove_reader(self._journal.fd)

    def _next(self) -> None:
        self._gathering = None
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
        failure = self._begin(events, lines)
        if failure is None:
            self._under_way = events, waiters
        else:
            self._done(events, waiters, failure)

    def _begin(self, events: int, lines: list[bytes]) -> str | None:
        """Begins to write a batch; what went wrong, if anything did."""
        if self._journal is None:
            return "there is no journal yet"
        if self._fatal:
            return "journal failed before"
        self._began = time.monotonic()
        try:
            self._journal.begin_batch(events, batches.pack(lines))
        except Exception as error:
            return self._failure(error)
        return None

    def poll(self) -> None:
        """The batch that is under way may be on disk now: who waits for it is told, and the next may begin."""
        if self._journal is None or self._under_way is None:
            return
        failure = None
        try:
            if not self._journal.poll_synced():
                return
        except Exception as error:
            failure = self._failure(error)
        self._quick = self._quick + 1 if time.monotonic() - self._began < SLOW_SECONDS else 0
        events, waiters = self._under_way
        self._under_way = None
        self._done(events, waiters, failure)

    def _failure(self, error: Exception) -> str:
        # A full disk may have room again; after any other fault (a failed sync above all) what the kernel still
        # holds cannot be believed, and the process must go. The requests that wait are answered in any case.
        self._fatal = getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL
        return f"{getattr(error, 'sqlite_errorname', '')} {error!r}"

    def _done(self, events: int, waiters: list[Waiter], failure: str | None) -> None:
        if failure is None:
            self._on_batch(events)
        else:
            self._on_failure(events, self._fatal)
        if self._refusing or failure is not None:
            self._log_change(events, failure)
        for waiter in waiters:
            try:
                waiter.on_durable(failure is None)
            except Exception:
                # Whatever is wrong with one connection, the others of its batch get their answer.
                _log.exception("a waiter failed")
        if failure is None and self._pending >= BATCH_EVENTS:
            self._next()
        elif self._groups:
            # What has arrived by now, while the last sync ran, is read before and goes along.
            self._gathering = self._loop.call_soon(self._next)
        else:
            self._busy = False
            self._idle.set()
            self._gather_until = time.monotonic() + GATHER_SECONDS

    def _log_change(self, events: int, failure: str | None) -> None:
        # At the beginning and at the end: a full disk refuses hundreds in a second, and the log may be on it too.
        if failure is None:
            _log.info("journal takes batches again")
        elif not self._refusing:
            _log.error("journal refused a batch", events=events, error=failure, fatal=self._fatal)
        self._refusing = failure is not None
