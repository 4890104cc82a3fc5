"""Shipping one journal into its stream: in order, and repeatedly until every batch is known to be counted.

`shipped` is the last seq that the stream server has acknowledged, `committed` the last one that the report store has
counted. An acknowledged batch can still vanish with its server (a lost AOF tail, a failover, FLUSHALL). Therefore each
new connection begins with a look-up of the newest acknowledged entry; if it is gone, everything after `committed` is
sent again. Duplicates are harmless: the counter counts a (`producer`, `seq`) once.
"""

from __future__ import annotations

from itertools import chain
from typing import cast

import redis
import structlog

from onebyone.clock import now_ms
from onebyone.contracts import batches, keys
from onebyone.edge.journal.reader import JournalReader
from onebyone.runtime import redis_client

_log = structlog.get_logger()

PAGE_ROWS = 64
"""Batches sent in one round trip: enough to catch up quickly, while a page stays a few megabytes at most."""


class Shipment:
    """Ship one journal and track how far it has come. Call every method on the shipping thread."""

    def __init__(self, journal: JournalReader) -> None:
        """Start at the counter's progress, which the first `apply_progress` brings."""
        self.journal = journal
        self.shard = journal.shard
        self.shipped = 0
        self.committed = 0
        self._newest_entry: bytes | None = None
        self._resend: bytes | None = None
        self._progress_known = False

    def queue_progress_reads(self, pipe: redis.client.Pipeline) -> None:
        """Queue the two reads whose replies `apply_progress` takes."""
        pipe.hget(keys.progress_key(self.shard), self.journal.producer)
        pipe.hget(keys.resend_key(self.shard), self.journal.producer)

    def apply_progress(self, progress: bytes | None, resend: bytes | None) -> None:
        """Take the counter's last committed seq of this producer, and its latest request to ship again, if any."""
        before = self.committed
        if progress is not None:
            self.committed = int(progress)
        if self.committed < before:
            # The report store was restored from a backup: send again what it no longer has.
            _log.warning("report store went back, shipping again", producer=self.journal.producer, seq=self.committed)
            self.rewind()
        if not self._progress_known:
            self._progress_known = True
            self._resend = resend
            self.shipped = self.committed
        elif resend != self._resend:
            self._resend = resend
            if resend is not None:
                self.rewind()

    def rewind(self) -> None:
        """Send everything after `committed` again."""
        self.shipped = min(self.shipped, self.committed)
        self._newest_entry = None

    def verify_newest_entry(self, client: redis.Redis) -> None:
        """Rewind unless the newest acknowledged entry is still in the stream. Call after each new connection."""
        if self.shipped <= self.committed:
            return
        if self._newest_entry is None:
            self.rewind()
            return
        entries = cast(
            "list[tuple[bytes, dict[bytes, bytes]]]",
            client.xrange(keys.events_key(self.shard), self._newest_entry.decode(), self._newest_entry.decode()),
        )
        if not entries or entries[0][1].get(b"p") != self.journal.producer.encode():
            self.rewind()

    def send_page(self, client: redis.Redis) -> int:
        """Send the next page of batches, all or none, and return their number.

        The caller must check afterwards that the client did not reconnect in between.
        """
        rows = self.journal.rows_after(self.shipped, PAGE_ROWS)
        if not rows:
            return 0
        kept_from = self.journal.oldest_seq()
        # One transaction: if the server refuses a batch (out of memory), no later one may follow it.
        commands = []
        sent_ms = now_ms()
        for row in rows:
            batch = batches.Batch(self.journal.producer, row.seq, row.events, row.payload, kept_from)
            entry = batches.to_entry(batch, row.written_ms, sent_ms)
            commands.append(("XADD", keys.events_key(self.shard), "*", *chain.from_iterable(entry.items())))
        entries = redis_client.transaction(client, commands)
        self.shipped = rows[-1].seq
        self._newest_entry = entries[-1]
        return len(rows)
