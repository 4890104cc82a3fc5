"""Opening the journal of a starting process: immediately, or as soon as the disk has room for it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable

from onebyone.edge.journal import writer
from onebyone.edge.journal.writer import JournalWriter
from onebyone.runtime.outage import Outage
from onebyone.settings import Settings

RETRY_SECONDS = 0.5
"""Pause between attempts: short, because every event is refused until one succeeds."""


async def open_journal(settings: Settings, on_open: Callable[[JournalWriter], None], stopping: asyncio.Event) -> None:
    """Create this process's journal and pass it to `on_open`, retrying until that succeeds or `stopping` is set."""
    outage = Outage(
        "cannot create a journal, refusing events until it can be created",
        "journal created, recording events",
        backoff=(RETRY_SECONDS,),
        level="error",
    )
    while not stopping.is_set():
        try:
            journal = await asyncio.to_thread(writer.create_journal, settings.journal_dir, settings.shards)
        except (OSError, sqlite3.Error) as error:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), outage.failed(error))
        else:
            outage.succeeded()
            on_open(journal)
            return
