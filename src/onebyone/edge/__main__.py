"""One edge process: `python -m onebyone.edge`, started by the supervisor with a listening socket."""

from __future__ import annotations

import asyncio
import sys
from functools import partial

import structlog
import uvloop

from onebyone import logs, redis_client, role, web_server
from onebyone.edge import journal, metrics, operator
from onebyone.edge.app import Edge
from onebyone.edge.commits import Commits
from onebyone.edge.fast_way import FastWay
from onebyone.edge.idle import Idle
from onebyone.edge.lookup import Lookups
from onebyone.edge.shipper import Shipper
from onebyone.edge.watcher import Watcher
from onebyone.settings import Settings

START_SECONDS = 3.0
"""How long a new process waits for the configuration before it takes connections; its siblings take them meanwhile."""
LOOKUP_SECONDS = 1.0
"""The longest that a request waits for the cache server before it is answered by what is known."""
SHIP_SECONDS = 5.0
"""At the end, how long to go on shipping; what is left waits in the journal for a successor."""

_log = structlog.get_logger()


async def main(settings: Settings) -> int:
    """Runs one edge process until it is told to stop; the exit code."""
    lifeline = role.Lifeline()
    own = journal.new(settings.journal_dir, settings.shards)
    shipper = Shipper(settings.stream_url, settings.journal_dir, own, settings.journal_overlap_seconds)
    failed = asyncio.Event()
    serving = asyncio.Event()

    def on_batch(events: int) -> None:
        metrics.RECORDED.inc(events)
        metrics.BATCH_EVENTS.observe(events)
        shipper.notify()

    def on_failure(events: int, fatal: bool) -> None:
        metrics.REFUSED_BATCHES.inc()
        if settings.receipt == "memory":
            metrics.LOST_UNANSWERED.inc(events)
        if fatal:
            failed.set()
            lifeline.stopping.set()

    commits = Commits(own, settings.pending_events, on_batch, on_failure)
    lookups = Lookups(redis_client.connect(settings.cache_url, reply_seconds=LOOKUP_SECONDS), settings.tracker_cache)
    watcher = Watcher(redis_client.connect(settings.cache_url), lookups)

    def checks() -> dict[str, bool]:
        return {
            "configuration": watcher.complete.is_set(),
            "journal": not failed.is_set(),
            "running": lifeline.retiring or not lifeline.stopping.is_set(),
        }

    edge = Edge(settings, lookups, commits, operator.application(settings, checks, lambda: shipper.backlog))
    shipper.start()
    watching = asyncio.create_task(watcher.run())
    tasks = [
        asyncio.create_task(_announce(lifeline, watcher, serving)),
        asyncio.create_task(_drain(lifeline, edge)),
        asyncio.create_task(_measure(shipper, lookups)),
    ]
    await lifeline.until(watcher.complete, START_SECONDS)
    http = partial(FastWay, edge, Idle(asyncio.get_running_loop())) if settings.edge_http == "fast" else None
    notice = partial(lifeline.notice, settings.drain_seconds)
    await web_server.serve(edge, role.listener(), lifeline.stopping, notice, serving.set, http)
    await commits.close()
    await asyncio.to_thread(shipper.stop, SHIP_SECONDS)
    watcher.stop()
    await asyncio.wait({watching}, timeout=redis_client.REPLY_SECONDS)
    for task in tasks:
        task.cancel()
    return 1 if failed.is_set() else 0


async def _announce(lifeline: role.Lifeline, watcher: Watcher, serving: asyncio.Event) -> None:
    await serving.wait()
    await watcher.complete.wait()
    lifeline.ready()


async def _drain(lifeline: role.Lifeline, edge: Edge) -> None:
    await lifeline.stopping.wait()
    edge.draining = True


async def _measure(shipper: Shipper, lookups: Lookups) -> None:
    while True:
        backlog = shipper.backlog
        metrics.UNSHIPPED.set(backlog.batches)
        metrics.OLDEST.set(backlog.oldest_ms / 1000)
        metrics.JOURNAL_BYTES.set(backlog.journal_bytes)
        metrics.TRACKERS.set(len(lookups.impressions) + len(lookups.clicks))
        await asyncio.sleep(1)


if __name__ == "__main__":
    settings = Settings()
    logs.configure("edge", settings.log_level)
    sys.exit(uvloop.run(main(settings)))
