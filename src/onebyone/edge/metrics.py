"""The metrics of the edge; docs/metrics.md lists them, and a test keeps the two equal."""

from __future__ import annotations

import asyncio

from onebyone.runtime.metrics import Counter, Gauge, Histogram

FLUSH_SECONDS = 0.1
"""How long batches are collected before the metrics are updated: far below any scrape interval."""

RECORDED = Counter(
    "onebyone_edge_recorded",
    "Events on disk, including those that are kept uncounted and those whose client left before the response.",
)
IGNORED = Counter("onebyone_edge_ignored", "Requests that were not counted, by reason code.", ["kind", "reason"])
MALFORMED = Counter(
    "onebyone_edge_malformed_requests", "Requests that were not valid HTTP or too long, whatever their path."
)
CLOSED_CONNECTIONS = Counter(
    "onebyone_edge_closed_connections", "Connections that waited for their client, closed to make room for others."
)
REFUSED_BATCHES = Counter("onebyone_edge_journal_failures", "Batches that the disk refused; their events are lost.")
MEMORY_RECEIPT_LOST = Counter(
    "onebyone_edge_memory_receipt_lost",
    "Events answered before the sync (receipt=memory) that the disk then refused.",
)
PROXY_RETRIES = Counter(
    "onebyone_edge_proxy_retries", "Events of requests that a trusted proxy has sent before (flag `proxy_retry`)."
)
REDIRECTS_REFUSED = Counter("onebyone_edge_redirects_refused", "`redir` targets that were not approved.")
REDIRECTS_ANY = Counter("onebyone_edge_redirects_any", "`redir` targets approved only by the member's policy `any`.")
BATCH_EVENTS = Histogram(
    "onebyone_edge_batch_events", "Events per group commit.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 500)
)
"""The buckets double up to the most events that a batch holds (`group_commit.BATCH_EVENTS`)."""
RECORDING = Gauge(
    "onebyone_edge_recording",
    "1 while every edge process can record, 0 while the journal of one takes no events.",
    multiprocess_mode="livemin",
)
UNSHIPPED_BATCHES = Gauge(
    "onebyone_edge_unshipped_batches", "Batches not yet in the stream.", multiprocess_mode="livesum"
)
UNSHIPPED_OLDEST = Gauge(
    "onebyone_edge_unshipped_oldest_seconds", "Age of the oldest unshipped batch.", multiprocess_mode="livemax"
)
JOURNAL_BYTES = Gauge("onebyone_edge_journal_bytes", "Bytes of the journals on disk.", multiprocess_mode="livesum")
CONFIGURATION_AGE = Gauge(
    "onebyone_edge_configuration_age_seconds",
    "Seconds since the cache server last confirmed the configuration of the edge as current.",
    multiprocess_mode="livemax",
)
CONFIGURATION_VERSION = Gauge(
    "onebyone_edge_configuration_version",
    "Version of the configuration that the edge follows; of several processes the lowest.",
    multiprocess_mode="livemin",
)
CONFIGURATION_RESETS = Counter(
    "onebyone_edge_configuration_resets",
    "Times that the published configuration went back to an earlier version or another store.",
)
SNAPSHOT_READS = Counter(
    "onebyone_edge_recalled", "Records read from the snapshot on disk because the cache server could not be asked."
)
SNAPSHOT_RECORDS = Gauge(
    "onebyone_edge_last_known_records", "Trackers and members in the snapshot on disk.", multiprocess_mode="livemax"
)
CLOCK_SKEW = Gauge(
    "onebyone_edge_clock_skew_seconds",
    "Seconds by which the clock of the edge differs from most of the others'.",
    multiprocess_mode="livemax",
)
CLOCK_JUMPS = Counter(
    "onebyone_edge_clock_jumps",
    "Times that the clock was set by more than `ONEBYONE_CLOCK_SKEW_SECONDS` while an edge ran.",
)
TRACKERS_CACHED = Gauge("onebyone_edge_trackers_cached", "Trackers in memory.", multiprocess_mode="livesum")


class MetricBuffer:
    """Update the metrics of group commits in bulk, up to `FLUSH_SECONDS` late.

    A metric is written to shared memory, which for each batch would cost as much as four of its events.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Flush on `loop`; call every method on its thread."""
        self._loop = loop
        self._batches: list[int] = []

    def add_batch(self, events: int) -> None:
        """Add a batch of `events` events, which is on disk."""
        if not self._batches:
            self._loop.call_later(FLUSH_SECONDS, self.flush)
        self._batches.append(events)

    def flush(self) -> None:
        """Update the metrics with every batch that was added since the last flush."""
        batches, self._batches = self._batches, []
        RECORDED.inc(sum(batches))
        for events in batches:
            BATCH_EVENTS.observe(events)
