"""One run of the check: everything that can be looked at from here, in the order in which an event passes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from sqlalchemy.exc import SQLAlchemyError

from onebyone.check import clocks, configuration, delivery, deployment, journals, report_store, servers, traffic_lists
from onebyone.check.finding import Finding
from onebyone.report_store import schema
from onebyone.runtime import embedded_server, sql
from onebyone.runtime.migration import NewerSchema
from onebyone.settings import Settings

FAULTS_FOUND = 1
NOTHING_TO_CHECK = 2
"""Exit codes; no data to look at most often means a wrong data folder, hence the code of a wrong setting."""


def run_check(settings: Settings, hours: int) -> int:
    """Print all findings and a verdict; return 0 when nothing is wrong."""
    try:
        return asyncio.run(_run(settings, hours))
    except KeyboardInterrupt:
        return 130


async def _run(settings: Settings, hours: int) -> int:
    wrong = skipped = 0
    checked: set[str] = set()
    async for finding in all_findings(settings, hours):
        print(finding.line(), flush=True)
        wrong += finding.wrong
        skipped += finding.skipped
        if not finding.skipped:
            checked.add(finding.subject)
    if not wrong and checked <= {*deployment.ROLES}:
        # What answers on the ports may belong to an installation in another folder.
        extent = "only the ports could be checked" if checked else "nothing could be checked: nothing runs here"
        print(
            f"{extent}, and {settings.data_dir} is no data folder that was used; "
            "give the settings of the installation, such as --data-dir"
        )
        return NOTHING_TO_CHECK
    if wrong:
        print(f"{wrong} things are wrong" if wrong > 1 else "1 thing is wrong")
        return FAULTS_FOUND
    print(f"nothing is wrong in what could be checked; {skipped} skipped" if skipped else "nothing is wrong")
    return 0


async def all_findings(settings: Settings, hours: int) -> AsyncIterator[Finding]:
    """Yield all findings; `hours` > 0 limits the recount to the newest hours. Only reads, also on a running product."""
    embedded = embedded_server.read_url(settings.data_dir)
    cache, stream = settings.cache_url or embedded, settings.stream_url or embedded
    limit = settings.clock_skew_seconds
    for finding in await asyncio.to_thread(deployment.check_roles, settings):
        yield finding
    findings, states = await asyncio.to_thread(journals.check_journals, settings.journal_dir)
    findings += await asyncio.to_thread(servers.check_server, "cache server", cache, limit, events=False)
    findings += await asyncio.to_thread(servers.check_server, "stream server", stream, limit, events=True)
    findings += await asyncio.to_thread(clocks.check_clocks, stream, limit)
    findings += await configuration.check_configuration(settings, cache)
    for finding in findings:
        yield finding
    # Read before the report store: what is committed in between then only looks newer, never lost.
    published = await asyncio.to_thread(delivery.read_progress, stream, settings.shards)
    if sql.is_missing(settings.report_store_url):
        yield Finding(report_store.SUBJECT, f"not there: {settings.report_store_url}", skipped=True)
        return
    for finding in await asyncio.to_thread(traffic_lists.check_lists, settings):
        yield finding
    engine = sql.create_engine(settings.report_store_url)
    try:
        await schema.require_known(settings.report_store_url)
        async with sql.reading(engine) as connection:
            committed = await report_store.committed_batches(connection)
            for finding in await report_store.check_losses(connection, limit):
                yield finding
        for finding in await asyncio.to_thread(delivery.check_delivery, states, published, committed, stream):
            yield finding
        # Hours of which either side has been pruned cannot be compared.
        days = min(settings.archive_days, settings.rollup_days or settings.archive_days)
        async with sql.reading(engine, snapshot=True) as connection:
            for finding in await report_store.check_sums(connection, days, hours):
                yield finding
    except NewerSchema as newer:
        yield Finding(report_store.SUBJECT, f"cannot be read: {newer}", "run the check of the release that runs")
    except (SQLAlchemyError, OSError) as error:
        remedy = "start it, or correct its URL; start `onebyone counter` once to create its tables"
        yield Finding(report_store.SUBJECT, f"cannot be read: {error!r:.300}", remedy)
    finally:
        await engine.dispose()
