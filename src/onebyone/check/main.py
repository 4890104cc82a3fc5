"""One run of the check: everything that can be looked at from here, in the order in which an event passes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from sqlalchemy.exc import SQLAlchemyError

from onebyone.check import delivery, deployment, journals, report_store, servers
from onebyone.check.finding import Finding
from onebyone.runtime import embedded_server, sql
from onebyone.settings import Settings


def run(settings: Settings, hours: int) -> int:
    """Prints what it finds; 0: nothing is wrong."""
    try:
        return asyncio.run(_run(settings, hours))
    except KeyboardInterrupt:
        return 130


async def _run(settings: Settings, hours: int) -> int:
    wrong = 0
    async for finding in look(settings, hours):
        print(finding.line(), flush=True)
        wrong += finding.wrong
    print(f"{wrong} things are wrong" if wrong > 1 else "1 thing is wrong" if wrong else "nothing is wrong")
    return 1 if wrong else 0


async def look(settings: Settings, hours: int) -> AsyncIterator[Finding]:
    """All findings. `hours` > 0 limits the recount to the newest hours. Only reads, on a running product too."""
    own = embedded_server.read_url(settings.data_dir)
    cache, stream = settings.cache_url or own, settings.stream_url or own
    for finding in await asyncio.to_thread(deployment.look, settings):
        yield finding
    found, states = await asyncio.to_thread(journals.look, settings.journal_dir)
    found += await asyncio.to_thread(servers.look, "cache server", cache, events=False)
    found += await asyncio.to_thread(servers.look, "stream server", stream, events=True)
    for finding in found:
        yield finding
    # Before the report store is read: what is committed meanwhile then looks newer, never lost.
    told = await asyncio.to_thread(delivery.progress, stream, settings.shards)
    if sql.is_missing(settings.report_store_url):
        yield Finding(report_store.SUBJECT, f"not there: {settings.report_store_url}", skipped=True)
        return
    engine = sql.create_engine(settings.report_store_url)
    try:
        async with sql.reading(engine) as connection:
            committed = await report_store.committed(connection)
            for finding in await report_store.look(connection):
                yield finding
        for finding in await asyncio.to_thread(delivery.look, states, told, committed, stream):
            yield finding
        async with sql.reading(engine, snapshot=True) as connection:
            for finding in await report_store.recount(connection, settings.archive_days, hours):
                yield finding
    except (SQLAlchemyError, OSError) as error:
        remedy = "start it, or correct its URL; start `onebyone counter` once to make its tables"
        yield Finding(report_store.SUBJECT, f"cannot be read: {error!r:.300}", remedy)
    finally:
        await engine.dispose()
