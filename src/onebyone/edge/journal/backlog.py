"""The backlog of an edge process: batches not yet shipped or not yet counted, for metrics and `/sinkz`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onebyone.clock import now_ms
from onebyone.edge.journal.shipment import Shipment


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one process still has to ship."""

    batches: int
    """Batches that the stream server has not acknowledged."""
    oldest_ms: int
    """Age of the oldest of them; 0 if there is none."""
    journal_bytes: int
    uncounted: int
    """Batches that the counter has not reported as committed."""
    uncounted_ms: int
    """Age of the oldest of them; 0 if there is none."""
    journals: int
    """Number of journals: this process's own, once it is open, and those adopted from dead processes."""
    stream_accepting: bool
    """Whether the last round of requests to the stream server succeeded."""


def measure_backlog(shipments: Sequence[Shipment], stream_accepting: bool) -> Backlog:
    """Return the backlog of all journals of this process. Reads each journal; call it on the shipping thread."""
    now = now_ms()
    unshipped = uncounted = 0
    oldest_unshipped = oldest_uncounted = now
    for shipment in shipments:
        newest = shipment.journal.newest_seq()
        unshipped += max(0, newest - shipment.shipped)
        uncounted += max(0, newest - shipment.committed)
        oldest_unshipped = min(oldest_unshipped, shipment.journal.first_written_ms_after(shipment.shipped) or now)
        oldest_uncounted = min(oldest_uncounted, shipment.journal.first_written_ms_after(shipment.committed) or now)
    return Backlog(
        batches=unshipped,
        oldest_ms=now - oldest_unshipped,
        journal_bytes=sum(shipment.journal.size_bytes() for shipment in shipments),
        uncounted=uncounted,
        uncounted_ms=now - oldest_uncounted,
        journals=len(shipments),
        stream_accepting=stream_accepting,
    )
