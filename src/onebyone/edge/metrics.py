"""Metrics of the edge (docs/metrics.md lists them; a test keeps the two equal)."""

from __future__ import annotations

import asyncio

from onebyone.runtime.metrics import Counter, Gauge, Histogram

FLUSH_SECONDS = 0.1

RECORDED = Counter("onebyone_edge_recorded", "Events on disk, answered or not.")
IGNORED = Counter("onebyone_edge_ignored", "Requests that were not counted, by reason code.", ["kind", "reason"])
REFUSED_BATCHES = Counter("onebyone_edge_journal_failures", "Batches that the disk refused; their events are a loss.")
LOST_UNANSWERED = Counter(
    "onebyone_edge_memory_receipt_lost", "Events answered before the sync (receipt=memory) that the disk then refused."
)
REDIRECTS_REFUSED = Counter("onebyone_edge_redirects_refused", "`redir` targets that were not approved.")
REDIRECTS_ANY = Counter("onebyone_edge_redirects_any", "`redir` targets approved only by the member's policy `any`.")
BATCH_EVENTS = Histogram(
    "onebyone_edge_batch_events", "Events of one group commit.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 500)
)
UNSHIPPED = Gauge("onebyone_edge_unshipped_batches", "Batches not yet in the stream.", multiprocess_mode="livesum")
OLDEST = Gauge(
    "onebyone_edge_unshipped_oldest_seconds", "Age of the oldest unshipped batch.", multiprocess_mode="livemax"
)
JOURNAL_BYTES = Gauge("onebyone_edge_journal_bytes", "Journals on disk.", multiprocess_mode="livesum")
CONFIGURATION_AGE = Gauge(
    "onebyone_edge_configuration_age_seconds",
    "Since the cache server last said that what the edge answers by is current.",
    multiprocess_mode="livemax",
)
SNAPSHOT_READS = Counter(
    "onebyone_edge_recalled", "Records taken from the disk, as last known, because the cache server could not be asked."
)
SNAPSHOT_RECORDS = Gauge(
    "onebyone_edge_last_known_records", "Trackers and members kept on disk as last known.", multiprocess_mode="livemax"
)
TRACKERS = Gauge("onebyone_edge_trackers_cached", "Trackers held in memory.", multiprocess_mode="livesum")


class MetricBuffer:
    """Tells of group commits a moment later, many at once: a metric is written to shared memory, which costs a batch as
    much as four of its events."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._batches: list[int] = []

    def add_batch(self, events: int) -> None:
        """A batch of so many events is on disk."""
        if not self._batches:
            self._loop.call_later(FLUSH_SECONDS, self.flush)
        self._batches.append(events)

    def flush(self) -> None:
        """All that were added."""
        batches, self._batches = self._batches, []
        RECORDED.inc(sum(batches))
        for events in batches:
            BATCH_EVENTS.observe(events)
