"""The shipping thread of one edge process: its own journal, and those of processes that died, to the stream server."""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from onebyone.clock import now_ms
from onebyone.contracts import keys
from onebyone.edge.journal.reader import JournalReader
from onebyone.edge.journal.shipment import Shipment
from onebyone.edge.journal.writer import JournalWriter
from onebyone.runtime.outage import Outage
from onebyone.runtime.redis_client import Unavailable, connect_blocking

PACE_SECONDS = 0.05
"""Pause after each round, so that under load one round trip carries many batches."""
POLL_SECONDS = 0.25
"""How often the counter's progress is read, and the longest that a wake-up can be missed."""
ADOPT_SECONDS = 2.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Backlog:
    """What this process still has to ship; read by metrics."""

    batches: int
    oldest_ms: int
    """Receive age of the oldest unshipped batch; 0 when there is none."""
    journal_bytes: int
    uncounted: int
    """Batches that the counter has not said to have committed."""
    uncounted_ms: int
    """Receive age of the oldest of them; 0 when there is none."""
    journals: int
    """The own one, if there is room for one, and those adopted of dead processes."""
    stream_accepting: bool
    """Whether the stream server took what was sent last, or answered when there was nothing to send."""


class Shipper:
    """Ships until `stop`; never gives up, never drops."""

    def __init__(self, url: str, directory: Path, overlap_seconds: float) -> None:
        self._directory = directory
        self._overlap_ms = int(overlap_seconds * 1000)
        self._own_journal: JournalWriter | None = None
        self._own_shipment: Shipment | None = None
        self._shipments: list[Shipment] = []
        self._unopened: set[str] = set()
        self._connections = 0
        self._verified_connection = 0
        self._incarnations: dict[int, bytes] = {}
        self._client = connect_blocking(url, connected=self._connected)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._deadline = 0.0
        self._polled_at = 0.0
        self._scanned_at = 0.0
        self._measured_at = 0.0
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)
        self._stream_accepting = False
        self.backlog = Backlog(0, 0, 0, 0, 0, 0, False)

    def start(self) -> None:
        """Begins to ship what dead processes left."""
        self._thread.start()

    def set_own_journal(self, journal: JournalWriter) -> None:
        """This process has its journal, which is closed with the others at the end."""
        self._own_journal = journal
        self._wake.set()

    def notify(self) -> None:
        """A batch was written."""
        if not self._wake.is_set():
            self._wake.set()

    def stop(self, seconds: float) -> None:
        """Ships what is left of the own journal for at most `seconds`, then closes all journals. Blocks."""
        self._deadline = time.monotonic() + seconds
        self._stopping.set()
        self._wake.set()
        self._thread.join()

    def _connected(self) -> None:
        self._connections += 1

    def _run(self) -> None:
        expected = (*Unavailable, sqlite3.Error)
        outage = Outage("cannot ship, events wait in the journal", "shipping again", expected=expected)
        while not self._finished():
            self._wake.wait(POLL_SECONDS)
            self._wake.clear()
            try:
                self._run_round()
            except Exception as error:
                # Not only what Redis and SQLite are known to raise: a thread that died would ship nothing for ever.
                self._stream_accepting = False
                self._measured_at = 0.0
                self._pause(outage.failed(error))
            else:
                outage.over()
                self._stream_accepting = True
                self._pause(PACE_SECONDS)
        for shipment in self._shipments:
            shipment.journal.close()
        self._client.close()

    def _finished(self) -> bool:
        if not self._stopping.is_set():
            return False
        self._add_own_shipment()
        if self._own_shipment is None or time.monotonic() >= self._deadline:
            return True
        return self._own_shipment.shipped >= self._own_shipment.journal.newest_seq()

    def _pause(self, seconds: float) -> None:
        if self._stopping.is_set():
            seconds = min(seconds, max(0.0, self._deadline - time.monotonic()))
            time.sleep(seconds)
        else:
            self._stopping.wait(seconds)

    def _add_own_shipment(self) -> None:
        if self._own_shipment is None and self._own_journal is not None:
            self._own_shipment = Shipment(self._own_journal)
            self._shipments.insert(0, self._own_shipment)

    def _run_round(self) -> None:
        self._add_own_shipment()
        now = time.monotonic()
        if now - self._measured_at >= POLL_SECONDS:
            self._measured_at = now
            self._measure()
        if now - self._scanned_at >= ADOPT_SECONDS:
            self._scanned_at = now
            self._adopt()
        if now - self._polled_at >= POLL_SECONDS:
            self._poll_progress()
            self._polled_at = now
        for shipment in self._shipments:
            if shipment.send_page(self._client):
                self._wake.set()
            if self._connections != self._verified_connection:
                # redis-py had reconnected by itself: what was acknowledged before may be gone, and what
                # was just sent may stand behind a hole.
                self._poll_progress()
                break

    def _adopt(self) -> None:
        for journal in JournalReader.adopt_abandoned(self._directory, self._unopened):
            _log.info("adopted the journal of a dead process", producer=journal.producer)
            self._shipments.append(Shipment(journal))

    def _poll_progress(self) -> None:
        shards = sorted({shipment.shard for shipment in self._shipments})
        pipe = self._client.pipeline(transaction=False)
        for shard in shards:
            pipe.set(keys.incarnation(shard), secrets.token_hex(8), nx=True)
            pipe.get(keys.incarnation(shard))
        for shipment in self._shipments:
            shipment.queue_progress_reads(pipe)
        replies = pipe.execute()
        for shard, incarnation in zip(shards, replies[1 : 2 * len(shards) : 2], strict=True):
            if self._incarnations.setdefault(shard, incarnation) != incarnation:
                _log.warning("stream server was emptied or replaced, shipping again", shard=shard)
                self._incarnations[shard] = incarnation
                self._verified_connection = -1
        answers = replies[2 * len(shards) :]
        for index, shipment in enumerate(self._shipments):
            shipment.apply_progress(answers[2 * index], answers[2 * index + 1])
        if self._connections != self._verified_connection:
            connections = self._connections
            for shipment in self._shipments:
                shipment.verify_newest_entry(self._client)
            self._verified_connection = connections
        self._delete_counted()

    def _delete_counted(self) -> None:
        before = now_ms() - self._overlap_ms
        for shipment in list(self._shipments):
            journal = shipment.journal
            if self._own_journal is not None and journal is self._own_journal:
                self._own_journal.set_deletable(shipment.committed, before)
                continue
            newest = journal.newest_seq()
            if shipment.committed < newest:
                continue
            rows = journal.rows_after(newest - 1, 1)
            if rows and rows[0].written_ms >= before:
                continue
            self._shipments.remove(shipment)
            journal.delete()
            self._client.hdel(keys.progress(shipment.shard), journal.producer)
            self._client.hdel(keys.resend(shipment.shard), journal.producer)
            _log.info("journal of a dead process is counted", producer=journal.producer)

    def _measure(self) -> None:
        now = now_ms()
        unshipped = uncounted = 0
        oldest_unshipped = oldest_uncounted = now
        for shipment in self._shipments:
            newest = shipment.journal.newest_seq()
            unshipped += max(0, newest - shipment.shipped)
            uncounted += max(0, newest - shipment.committed)
            oldest_unshipped = min(oldest_unshipped, shipment.journal.first_written_ms_after(shipment.shipped) or now)
            oldest_uncounted = min(oldest_uncounted, shipment.journal.first_written_ms_after(shipment.committed) or now)
        self.backlog = Backlog(
            batches=unshipped,
            oldest_ms=now - oldest_unshipped,
            journal_bytes=sum(shipment.journal.size_bytes() for shipment in self._shipments),
            uncounted=uncounted,
            uncounted_ms=now - oldest_uncounted,
            journals=len(self._shipments),
            stream_accepting=self._stream_accepting,
        )
