"""Notices producers whose event times are off: what their entries say of their clock, beside when they arrived."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import structlog

from onebyone.counter import metrics
from onebyone.runtime.clock_skew import in_words
from onebyone.runtime.redis_client import REPLY_SECONDS

PRODUCERS_LOGGED = 1000
"""Producers of which a process logs that they are off, each once: a bound on memory and on lines."""

_log = structlog.get_logger()


class ProducerClocks:
    """Compare the clocks of producers with the stream server's, for all shards of a process; none stops for it."""

    def __init__(self, limit_seconds: float) -> None:
        """Tell of clocks that are further apart than `limit_seconds`."""
        self._limit = limit_seconds
        self._logged: set[bytes] = set()

    def note_entries(self, entries: Iterable[tuple[bytes, Mapping[bytes, bytes]]]) -> None:
        """Note the clocks of these stream entries; ignore those that do not tell."""
        for entry_id, fields in entries:
            skew = _skew_seconds(entry_id, fields)
            # An entry may take as long as its edge waits for the reply, and then looks late.
            if -self._limit - REPLY_SECONDS <= skew <= self._limit:
                continue
            metrics.SKEWED_BATCHES.inc()
            producer = fields.get(b"p", b"")[:16]
            if producer not in self._logged and len(self._logged) < PRODUCERS_LOGGED:
                self._logged.add(producer)
                _log.warning(
                    "the clock of an edge is off, its events are counted into the hours that it shows",
                    producer=producer.decode("latin-1"),
                    clock=f"{in_words(skew)} compared with the stream server's",
                )


def _skew_seconds(entry_id: bytes, fields: Mapping[bytes, bytes]) -> float:
    """Return by how much the clock of an entry's edge, when it wrote or sent the batch, is ahead of its arrival."""
    try:
        arrived, sent = int(entry_id.partition(b"-")[0]), int(fields[b"t"])
        # Written long before it was sent is a backlog; written later than sent is a clock that was ahead.
        return (max(sent, int(fields[b"w"])) - arrived) / 1000
    except (KeyError, ValueError):
        return 0.0
