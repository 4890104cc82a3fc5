"""Group commit: all requests that wait share one sync.

The events of the fast way come by turns (`turns.py`), which have gathered already. An event of the ASGI way that comes
after a pause goes to the disk at once, with all that the loop has read at the same time; while such events come one
after the other, each batch gathers for a moment first: a commit costs as much as a dozen events, and without that
moment it would carry two or three. The journal's seq has no holes: it moves only when a batch is on disk.

A disk that has lately been quick is written to on the loop's own thread: handing a batch to another thread and back,
under an interpreter lock that both need, costs more than the write itself. After one slow sync a thread of its own
writes, and the next batch gathers meanwhile, until the disk has been quick for a while.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

import structlog

from onebyone import batches
from onebyone.edge.journal import Journal

BATCH_EVENTS = 500
"""Events of one batch at most, and of what is added together: a stream entry stays under two megabytes, unpacked."""

GATHER_SECONDS = 0.001
"""From the end of one commit to the beginning of the next, unless nothing has come for as long."""
SLOW_SECONDS = 0.02
"""A sync that takes longer is slow: nobody but its own requests may wait for the next one."""
QUICK_SYNCS = 20
"""So many in a row that are not slow, and the disk is quick again."""


class Waiter(Protocol):
    """Who waits for events to be on disk."""

    def settled(self, recorded: bool) -> None:
        """They are on disk, or the disk refused them. Called on the loop's thread."""


_log = structlog.get_logger()


class Commits:
    """Writes events of one process to its journal; all methods belong to the event loop's thread."""

    def __init__(
        self,
        journal: Journal | None,
        pending_events: int,
        on_batch: Callable[[int], None],
        on_failure: Callable[[int, bool], None],
    ) -> None:
        """On the loop: `on_batch(events)` after each sync, `on_failure(events, fatal)` when the disk refused one.

        Without a journal everything is refused until `open`.
        """
        self._journal = journal
        self._seq = 0 if journal is None else journal.bounds()[1]
        self._limit = pending_events
        self._on_batch = on_batch
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._groups: deque[tuple[list[bytes], Waiter | None]] = deque()
        self._pending = 0
        self._fatal = False
        self._quick = 0
        self._gather_until = 0.0
        self._gathering: asyncio.Handle | None = None
        self._busy = False
        self._refusing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._work: queue.SimpleQueue[tuple[int, list[bytes], list[Waiter]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def open(self, journal: Journal) -> None:
        """The journal that could not be made before: what comes from now on goes there."""
        self._seq = journal.bounds()[1]
        self._journal = journal

    @property
    def recording(self) -> bool:
        """Whether there is a journal, and it took the last batch."""
        return self._journal is not None and not self._refusing

    def add(self, group: list[bytes], waiter: Waiter | None, gathered: bool = False) -> bool:
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

    async def close(self) -> None:
        """Waits until all that was queued is on disk or refused, then ends the thread."""
        await self._idle.wait()
        self._work.put(None)
        await asyncio.to_thread(self._thread.join)

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
        if self._quick >= QUICK_SYNCS:
            self._done(events, waiters, self._write(events, lines))
        else:
            self._work.put((events, lines, waiters))

    def _done(self, events: int, waiters: list[Waiter], failure: str | None) -> None:
        if failure is None:
            self._on_batch(events)
        else:
            self._on_failure(events, self._fatal)
        if self._refusing or failure is not None:
            self._tell(events, failure)
        for waiter in waiters:
            try:
                waiter.settled(failure is None)
            except Exception:
                # Whatever is wrong with one connection, the others of its batch get their answer.
                _log.exception("a waiter failed")
        if self._groups:
            # What has arrived by now, while the last sync ran, is read before and goes along.
            self._gathering = self._loop.call_soon(self._next)
        else:
            self._busy = False
            self._idle.set()
            self._gather_until = time.monotonic() + GATHER_SECONDS

    def _tell(self, events: int, failure: str | None) -> None:
        # At the beginning and at the end: a full disk refuses hundreds in a second, and the log may be on it too.
        if failure is None:
            _log.info("journal takes batches again")
        elif not self._refusing:
            _log.error("journal refused a batch", events=events, error=failure, fatal=self._fatal)
        self._refusing = failure is not None

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            events, lines, waiters = work
            self._loop.call_soon_threadsafe(self._done, events, waiters, self._write(events, lines))

    def _write(self, events: int, lines: list[bytes]) -> str | None:
        """Writes one batch and syncs it, on whichever thread has its turn; what went wrong, if anything did."""
        journal = self._journal
        if journal is None:
            return "there is no journal yet"
        if self._fatal:
            return "journal failed before"
        began = time.monotonic()
        try:
            journal.append(self._seq + 1, events, batches.pack(lines))
        except Exception as error:
            # A full disk may have room again; after any other fault (a failed sync above all) what the kernel still
            # holds cannot be believed, and the process must go. The requests that wait are answered in any case.
            self._fatal = getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL
            self._quick = 0
            return f"{getattr(error, 'sqlite_errorname', '')} {error!r}"
        self._seq += 1
        self._quick = self._quick + 1 if time.monotonic() - began < SLOW_SECONDS else 0
        return None
