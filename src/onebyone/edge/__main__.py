"""One edge process: `python -m onebyone.edge`, started by the supervisor with a listening socket."""

from __future__ import annotations

import asyncio
import gc
import select
import sys
from collections.abc import Callable
from functools import partial

import structlog
import uvloop

from onebyone.edge import metrics, ops_endpoints
from onebyone.edge.asgi import BODY_MAX, EdgeApp
from onebyone.edge.configuration.view import ConfigView
from onebyone.edge.fastpath.acceptor import Acceptor
from onebyone.edge.journal import health as journal_health
from onebyone.edge.journal import opening
from onebyone.edge.journal.disk_probe import DiskProbe
from onebyone.edge.journal.group_commit import GroupCommit
from onebyone.edge.journal.shipper import Shipper
from onebyone.edge.journal.writer import JournalWriter
from onebyone.edge.ops_endpoints import Health
from onebyone.edge.recorder import Recorder
from onebyone.edge.tag_refusals import TagRefusals
from onebyone.edge.untracked import WRITE_SECONDS, UntrackedSums
from onebyone.runtime import logs, role, web_server
from onebyone.runtime.clock_watch import ClockWatch
from onebyone.runtime.connection_limits import ConnectionLimits
from onebyone.runtime.store_refusals import server_faults
from onebyone.settings import Settings

START_SECONDS = 3.5
"""How long a new process waits for journal and configuration before it accepts connections, while its siblings do: a
little longer than `ConfigView` waits for the cache server before it reads its snapshot."""
SWITCH_SECONDS = 0.0005
"""How long the loop waits for the interpreter while another thread computes; Python's default of 5 ms shows in p99."""
SHIP_SECONDS = 5.0
"""How long a stopping process keeps shipping, within the twelve seconds that the supervisor gives it; the next process
ships the rest from the journal."""
METRICS_SECONDS = 1.0
"""How often the gauges are set: more often than any monitoring reads them."""

_log = structlog.get_logger()


async def main(settings: Settings) -> int:
    """Run one edge process until a signal or the end of its supervisor stops it; return its exit code."""
    lifeline = role.Lifeline()
    shipper = Shipper(settings.stream_url, settings.journal_dir, settings.journal_overlap_seconds)
    journal_open, journal_failed, serving = asyncio.Event(), asyncio.Event(), asyncio.Event()
    metric_buffer = metrics.MetricBuffer(asyncio.get_running_loop())

    def on_batch(events: int) -> None:
        metric_buffer.add_batch(events)
        shipper.notify()

    def on_failure(events: int, fatal: bool) -> None:
        metrics.REFUSED_BATCHES.inc()
        if settings.receipt == "memory":
            metrics.MEMORY_RECEIPT_LOST.inc(events)
        if fatal:
            journal_failed.set()
            lifeline.stopping.set()

    def on_journal(journal: JournalWriter) -> None:
        commits.open(journal)
        shipper.set_own_journal(journal)
        probe.watch(journal.is_gone)
        journal_open.set()

    async def leave_lost_journal() -> None:
        await journal_health.await_loss(probe, commits, shipper)
        journal_failed.set()
        lifeline.stopping.set()

    commits = GroupCommit(None, settings.pending_events, on_batch, on_failure)
    view = ConfigView(settings)
    probe = DiskProbe(settings.journal_dir, partial(journal_health.is_proven, commits))

    def on_look(skew: float | None, jumps: int) -> None:
        metrics.CLOCK_SKEW.set(abs(skew or 0.0))
        metrics.CLOCK_JUMPS.inc(jumps)

    clock = ClockWatch("edge", settings.stream_url, settings.clock_skew_seconds, on_look)

    def health() -> Health:
        problem = journal_health.recording_problem(commits, probe)
        checks = {
            "configuration": view.usable.is_set(),
            "journal": not problem,
            "running": lifeline.retiring or not lifeline.stopping.is_set(),
        }
        problems = {"journal": problem, "clock": clock.problem()}
        return Health(checks, {name: words for name, words in problems.items() if words}, view.state(), clock.skew)

    recorder = Recorder(settings, view.cache, commits, draining=lifeline.stopping)
    app = EdgeApp(recorder, ops_endpoints.create_ops_app(settings, health, lambda: shipper.backlog))
    opening_journal = asyncio.create_task(opening.open_journal(settings, on_journal, lifeline.stopping))
    shipper.start()
    view.start()
    probe.start()
    clock.start()
    tasks = [
        asyncio.create_task(_announce_ready(lifeline, serving, journal_open, view.usable)),
        asyncio.create_task(_set_gauges(shipper, view, health)),
        asyncio.create_task(leave_lost_journal()),
        asyncio.create_task(_write_untracked(recorder.untracked)),
    ]
    deadline = asyncio.get_running_loop().time() + START_SECONDS
    refused = await _refused_servers(settings)
    if refused:
        lifeline.stopping.set()
    for event in (journal_open, view.usable):
        await lifeline.wait_for(event, max(0.0, deadline - asyncio.get_running_loop().time()))
    fast = settings.edge_http == "fast" and hasattr(select, "epoll")
    make_server = partial(Acceptor, recorder, settings.tracker_cache) if fast else None
    drain_seconds = partial(lifeline.not_ready_seconds, settings.drain_seconds)
    await web_server.serve(
        app,
        role.inherited_listener(),
        lifeline.stopping,
        drain_seconds,
        serving.set,
        make_server,
        TagRefusals(recorder),
        BODY_MAX,
        ConnectionLimits.of(settings, metrics.CLOSED_CONNECTIONS.inc),
    )
    await opening_journal
    recorder.untracked.write()
    await commits.close()
    metric_buffer.flush()
    await asyncio.gather(asyncio.to_thread(shipper.stop, SHIP_SECONDS), view.stop(), asyncio.to_thread(clock.stop))
    probe.stop()
    for task in tasks:
        task.cancel()
    if refused:
        return lifeline.refuse("edge", *refused)
    return 1 if journal_failed.is_set() else 0


async def _refused_servers(settings: Settings) -> list[str]:
    """Return why this edge cannot run: its servers refuse it, and it has no snapshot of the configuration either.

    With one it records without them, and only logs what they say.
    """
    asked = [server_faults(settings, name) for name in ("cache_url", "stream_url")]
    cache, stream = await asyncio.gather(*asked)
    if cache and not (settings.last_known_records and settings.last_known_file.exists()):
        return cache + stream
    for fault in cache + stream:
        _log.error("a server refuses this edge, which records nevertheless", reason=fault)
    return []


async def _announce_ready(lifeline: role.Lifeline, *needed: asyncio.Event) -> None:
    for event in needed:
        await event.wait()
    # What exists now stays: a full collection that walks through it stops all responses for 30 to 40 ms.
    gc.collect()
    gc.freeze()
    lifeline.report_ready()


async def _set_gauges(shipper: Shipper, view: ConfigView, health: Callable[[], Health]) -> None:
    while True:
        state = health()
        metrics.RECORDING.set(state.checks["journal"])
        metrics.CONFIGURATION_VERSION.set(state.configuration.head.version if state.configuration.head else 0)
        backlog = shipper.backlog
        metrics.UNSHIPPED_BATCHES.set(backlog.batches)
        metrics.UNSHIPPED_OLDEST.set(backlog.oldest_ms / 1000)
        metrics.JOURNAL_BYTES.set(backlog.journal_bytes)
        metrics.TRACKERS_CACHED.set(len(view.cache.impressions) + len(view.cache.clicks))
        metrics.CONFIGURATION_AGE.set(view.age_seconds() or 0)
        metrics.SNAPSHOT_RECORDS.set(view.records_on_disk)
        await asyncio.sleep(METRICS_SECONDS)


async def _write_untracked(sums: UntrackedSums) -> None:
    while True:
        await asyncio.sleep(WRITE_SECONDS)
        sums.write()


if __name__ == "__main__":
    settings = role.read_role_settings("edge")
    logs.configure_logging("edge", settings.log_level, settings.log_format)
    sys.setswitchinterval(SWITCH_SECONDS)
    sys.exit(uvloop.run(main(settings)))
