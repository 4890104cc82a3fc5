"""One edge process: `python -m onebyone.edge`, started by the supervisor with a listening socket."""

from __future__ import annotations

import asyncio
import gc
import select
import sys
from functools import partial

import uvloop

from onebyone.edge import metrics, ops_endpoints
from onebyone.edge.asgi import EdgeApp
from onebyone.edge.configuration.view import ConfigView
from onebyone.edge.fastpath.acceptor import Acceptor
from onebyone.edge.journal import opening
from onebyone.edge.journal.group_commit import GroupCommit
from onebyone.edge.journal.shipper import Shipper
from onebyone.edge.journal.writer import JournalWriter
from onebyone.edge.ops_endpoints import Health
from onebyone.edge.recorder import Recorder
from onebyone.runtime import logs, role, web_server
from onebyone.settings import Settings

START_SECONDS = 3.5
"""How long a new process waits for journal and configuration before it takes connections; its siblings take them
meanwhile."""
SWITCH_SECONDS = 0.0005
"""How long the loop may wait for the interpreter when another thread computes; Python's own 5 ms are seen in p99."""
SHIP_SECONDS = 5.0
"""At the end, how long to go on shipping; what is left waits in the journal for a successor."""


async def main(settings: Settings) -> int:
    """Runs one edge process until it is told to stop; the exit code."""
    lifeline = role.Lifeline()
    shipper = Shipper(settings.stream_url, settings.journal_dir, settings.journal_overlap_seconds)
    begun, failed, serving = asyncio.Event(), asyncio.Event(), asyncio.Event()

    metric_buffer = metrics.MetricBuffer(asyncio.get_running_loop())

    def on_batch(events: int) -> None:
        metric_buffer.add_batch(events)
        shipper.notify()

    def on_failure(events: int, fatal: bool) -> None:
        metrics.REFUSED_BATCHES.inc()
        if settings.receipt == "memory":
            metrics.LOST_UNANSWERED.inc(events)
        if fatal:
            failed.set()
            lifeline.stopping.set()

    def begin(own: JournalWriter) -> None:
        commits.open(own)
        shipper.set_own_journal(own)
        begun.set()

    commits = GroupCommit(None, settings.pending_events, on_batch, on_failure)
    view = ConfigView(settings)

    def health() -> Health:
        checks = {
            "configuration": view.usable.is_set(),
            "journal": begun.is_set() and not failed.is_set(),
            "running": lifeline.retiring or not lifeline.stopping.is_set(),
        }
        return Health(checks, commits.recording, view.age_seconds())

    recorder = Recorder(settings, view.cache, commits, draining=lifeline.stopping)
    app = EdgeApp(recorder, ops_endpoints.create_ops_app(settings, health, lambda: shipper.backlog))
    beginning = asyncio.create_task(opening.open_journal(settings, begin, lifeline.stopping))
    shipper.start()
    view.start()
    tasks = [
        asyncio.create_task(_announce(lifeline, serving, begun, view.usable)),
        asyncio.create_task(_measure(shipper, view)),
    ]
    deadline = asyncio.get_running_loop().time() + START_SECONDS
    for event in (begun, view.usable):
        await lifeline.until(event, max(0.0, deadline - asyncio.get_running_loop().time()))
    fast = settings.edge_http == "fast" and hasattr(select, "epoll")
    accept = partial(Acceptor, recorder, settings.tracker_cache) if fast else None
    notice = partial(lifeline.notice, settings.drain_seconds)
    await web_server.serve(app, role.listener(), lifeline.stopping, notice, serving.set, accept)
    await beginning
    await commits.close()
    metric_buffer.flush()
    await asyncio.gather(asyncio.to_thread(shipper.stop, SHIP_SECONDS), view.stop())
    for task in tasks:
        task.cancel()
    return 1 if failed.is_set() else 0


async def _announce(lifeline: role.Lifeline, *needed: asyncio.Event) -> None:
    for event in needed:
        await event.wait()
    # What is there now stays: a whole collection that looks through it again stops all answers for 30 to 40 ms.
    gc.collect()
    gc.freeze()
    lifeline.ready()


async def _measure(shipper: Shipper, view: ConfigView) -> None:
    while True:
        backlog = shipper.backlog
        metrics.UNSHIPPED.set(backlog.batches)
        metrics.OLDEST.set(backlog.oldest_ms / 1000)
        metrics.JOURNAL_BYTES.set(backlog.journal_bytes)
        metrics.TRACKERS.set(len(view.cache.impressions) + len(view.cache.clicks))
        metrics.CONFIGURATION_AGE.set(view.age_seconds() or 0)
        metrics.SNAPSHOT_RECORDS.set(view.records_on_disk)
        await asyncio.sleep(1)


if __name__ == "__main__":
    settings = Settings()
    logs.configure("edge", settings.log_level, settings.log_format)
    sys.setswitchinterval(SWITCH_SECONDS)
    sys.exit(uvloop.run(main(settings)))
