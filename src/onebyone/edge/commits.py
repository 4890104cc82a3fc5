"""Group commit: all requests that wait share one sync.

While a batch is on its way to the disk the next one gathers; a lone request finds the disk idle and does not wait for
a timer. The journal's seq has no holes: it moves only when a batch is on disk.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable

import structlog

from onebyone import batches
from onebyone.edge.journal import Journal

BATCH_EVENTS = 500
"""Events of one batch at most: a stream entry stays under two megabytes, unpacked."""

Waiter = Callable[[bool], None]

_log = structlog.get_logger()


class Commits:
    """Writes event lines of one process to its journal; all methods belong to the event loop's thread."""

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
        self._lines: list[bytes] = []
        self._waiters: list[Waiter | None] = []
        self._busy = False
        self._refusing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._work: queue.SimpleQueue[tuple[list[bytes], list[Waiter | None]] | None] = queue.SimpleQueue()
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

    def submit(self, line: bytes) -> asyncio.Future[bool] | None:
        """Queues one event; the future says whether it is on disk. None: too many wait already."""
        future: asyncio.Future[bool] = self._loop.create_future()

        def settle(recorded: bool) -> None:
            # A request whose client went away is cancelled; the others of its batch must not notice.
            if not future.done():
                future.set_result(recorded)

        return future if self.add(line, settle) else None

    def add(self, line: bytes, waiter: Waiter | None) -> bool:
        """Queues one event and tells the waiter, on the loop, whether it is on disk. False: too many wait already."""
        if len(self._lines) >= self._limit:
            return False
        self._lines.append(line)
        self._waiters.append(waiter)
        if not self._busy:
            # At the end of this turn of the loop, so that requests that arrived together go together.
            self._busy = True
            self._idle.clear()
            self._loop.call_soon(self._next)
        return True

    async def close(self) -> None:
        """Waits until all that was queued is on disk or refused, then ends the thread."""
        await self._idle.wait()
        self._work.put(None)
        await asyncio.to_thread(self._thread.join)

    def _next(self) -> None:
        lines, self._lines = self._lines[:BATCH_EVENTS], self._lines[BATCH_EVENTS:]
        waiters, self._waiters = self._waiters[:BATCH_EVENTS], self._waiters[BATCH_EVENTS:]
        self._work.put((lines, waiters))

    def _done(self, waiters: list[Waiter | None], failure: tuple[str, bool] | None) -> None:
        if failure is None:
            self._on_batch(len(waiters))
        else:
            self._on_failure(len(waiters), failure[1])
        self._tell(len(waiters), failure)
        for waiter in waiters:
            if waiter is not None:
                try:
                    waiter(failure is None)
                except Exception:
                    # Whatever is wrong with one connection, the others of its batch get their answer.
                    _log.exception("a waiter failed")
        if self._lines:
            # What has arrived by now, while the last sync ran, is read in this turn of the loop and goes along.
            self._loop.call_soon(self._next)
        else:
            self._busy = False
            self._idle.set()

    def _tell(self, events: int, failure: tuple[str, bool] | None) -> None:
        # At the beginning and at the end: a full disk refuses hundreds in a second, and the log may be on it too.
        if failure is None and self._refusing:
            _log.info("journal takes batches again")
        elif failure is not None and not self._refusing:
            _log.error("journal refused a batch", events=events, error=failure[0], fatal=failure[1])
        self._refusing = failure is not None

    def _run(self) -> None:
        fatal = False
        while (work := self._work.get()) is not None:
            lines, waiters = work
            journal = self._journal
            failure: tuple[str, bool] | None = None
            if fatal:
                failure = ("journal failed before", True)
            elif journal is None:
                failure = ("there is no journal yet", False)
            else:
                try:
                    journal.append(self._seq + 1, len(lines), batches.pack(lines))
                    self._seq += 1
                except Exception as error:
                    # A full disk may have room again; after any other fault (a failed sync above all) what the
                    # kernel still holds cannot be believed, and the process must go. The requests that wait are
                    # answered in any case.
                    fatal = getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL
                    failure = (f"{getattr(error, 'sqlite_errorname', '')} {error!r}", fatal)
            self._loop.call_soon_threadsafe(self._done, waiters, failure)
