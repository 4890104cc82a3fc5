"""The journal of a process that starts: made at once, or as soon as the disk has room for it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable

import structlog

from onebyone.edge.journal import writer
from onebyone.edge.journal.writer import OwnJournal
from onebyone.settings import Settings

RETRY_SECONDS = 0.5

_log = structlog.get_logger()


async def make(settings: Settings, made: Callable[[OwnJournal], None], stopping: asyncio.Event) -> None:
    """Calls `made` with the journal once there is one, or returns without when `stopping` is set."""
    waited = False
    while not stopping.is_set():
        try:
            own = await asyncio.to_thread(writer.new, settings.journal_dir, settings.shards)
        except (OSError, sqlite3.Error) as error:
            if not waited:
                _log.error("cannot make a journal, refusing events until it can be made", error=repr(error))
            waited = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), RETRY_SECONDS)
        else:
            if waited:
                _log.info("journal made, recording events")
            made(own)
            return
