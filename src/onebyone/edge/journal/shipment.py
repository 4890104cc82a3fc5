"""The way of one journal into its stream: in order, again and again until it is known to be there.

`shipped` is what the stream server has acknowledged, `committed` what the report store has counted. An acknowledged
batch can still vanish with its server (an AOF tail, a failover, FLUSHALL); so after each new connection the newest
entry that was acknowledged is looked up, and when it is gone everything behind `committed` is sent again. Copies cost
nothing: the counter counts a (`producer`, `seq`) once.
"""

from __future__ import annotations

from itertools import chain
from typing import cast

import redis
import structlog

from onebyone.contracts import batches, keys
from onebyone.edge.journal.reader import JournalReader
from onebyone.runtime import redis_client

_log = structlog.get_logger()

PAGE_ROWS = 64
"""Batches sent in one round trip."""


class Shipment:
    """Where the shipping of one journal stands; belongs to the shipping thread."""

    def __init__(self, journal: JournalReader) -> None:
        self.journal = journal
        self.shard = journal.shard
        self.shipped = 0
        self.committed = 0
        self._newest_entry: bytes | None = None
        self._resend: bytes | None = None
        self._known = False

    def queue_progress_reads(self, pipe: redis.client.Pipeline) -> None:
        """Queues the two questions that `answer` reads."""
        pipe.hget(keys.progress(self.shard), self.journal.producer)
        pipe.hget(keys.resend(self.shard), self.journal.producer)

    def apply_progress(self, progress: bytes | None, resend: bytes | None) -> None:
        """Takes the counter's word: how far it has committed, and whether it misses something."""
        before = self.committed
        if progress is not None:
            self.committed = int(progress)
        if self.committed < before:
            # The report store went back in time (restored from a backup): what it has forgotten is sent again.
            _log.warning("report store went back, shipping again", producer=self.journal.producer, seq=self.committed)
            self.rewind()
        if not self._known:
            self._known = True
            self._resend = resend
            self.shipped = self.committed
        elif resend != self._resend:
            self._resend = resend
            if resend is not None:
                self.rewind()

    def rewind(self) -> None:
        """Everything that is not committed is to be sent again."""
        self.shipped = min(self.shipped, self.committed)
        self._newest_entry = None

    def verify_newest_entry(self, client: redis.Redis) -> None:
        """After a new connection: rewinds unless the newest acknowledged entry is still in the stream."""
        if self.shipped <= self.committed:
            return
        if self._newest_entry is None:
            self.rewind()
            return
        found = cast(
            "list[tuple[bytes, dict[bytes, bytes]]]",
            client.xrange(keys.events(self.shard), self._newest_entry.decode(), self._newest_entry.decode()),
        )
        if not found or found[0][1].get(b"p") != self.journal.producer.encode():
            self.rewind()

    def send_page(self, client: redis.Redis) -> int:
        """Sends the next page of batches, all or none; how many. The caller checks that the connection was not new."""
        rows = self.journal.rows_after(self.shipped, PAGE_ROWS)
        if not rows:
            return 0
        kept_from = self.journal.oldest_seq()
        # One transaction: a refusal in the middle (out of memory) must not leave a hole before later batches.
        commands = []
        for row in rows:
            entry = batches.to_entry(batches.Batch(self.journal.producer, row.seq, row.events, row.payload, kept_from))
            commands.append(("XADD", keys.events(self.shard), "*", *chain.from_iterable(entry.items())))
        entries = redis_client.transaction(client, commands)
        self.shipped = rows[-1].seq
        self._newest_entry = entries[-1]
        return len(rows)
