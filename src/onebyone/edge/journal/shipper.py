"""The shipping thread of an edge process: sends its own journal, and those of dead processes, to the stream server."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import threading
import time
from pathlib import Path

import structlog

from onebyone.clock import now_ms
from onebyone.contracts import keys
from onebyone.edge.journal.backlog import Backlog, measure_backlog
from onebyone.edge.journal.reader import AHEAD_MS, JournalReader
from onebyone.edge.journal.shipment import Shipment
from onebyone.edge.journal.writer import JournalWriter
from onebyone.runtime.outage import Outage
from onebyone.runtime.redis_client import Unavailable, connect_blocking

PACE_SECONDS = 0.05
"""Pause after each round, so that under load one round trip carries many batches; it adds this much to their delay."""
POLL_SECONDS = 0.25
"""How often the counter's progress is read and the backlog measured, and the longest delay after a missed wake-up: one
cheap round trip, often enough for a `/sinkz` that is fresh."""
ADOPT_SECONDS = 2.0
"""How often the folder is scanned for journals of dead processes: their events are safe meanwhile, and each scan tries
every lock file."""

_log = structlog.get_logger()


class Shipper:
    """Ship journals until `stop`. It never gives up and never drops a batch."""

    def __init__(self, url: str, directory: Path, overlap_seconds: float) -> None:
        """Ship to the stream server at `url`. Adopt abandoned journals in `directory`, and keep counted batches for
        `overlap_seconds`."""
        self._directory = directory
        self._overlap_ms = int(overlap_seconds * 1000)
        self._own_journal: JournalWriter | None = None
        self._own_shipment: Shipment | None = None
        self._shipments: list[Shipment] = []
        self._adopted: list[Shipment] = []
        self._recovering: set[str] = set()
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
        """Start the thread, which ships the journals of dead processes even before the own journal is open."""
        self._thread.start()

    def set_own_journal(self, journal: JournalWriter) -> None:
        """Ship this process's own journal too, and close it with the others at the end."""
        self._own_journal = journal
        self._wake.set()

    def notify(self) -> None:
        """Wake the thread: a batch is on disk."""
        if not self._wake.is_set():
            self._wake.set()

    def stop(self, seconds: float) -> None:
        """Ship the rest of the own journal for at most `seconds`, then close all journals. Blocks."""
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
                # Catch everything, not only Redis and SQLite errors: a dead thread would never ship again.
                self._stream_accepting = False
                self._measured_at = 0.0
                self._pause(outage.failed(error))
            else:
                outage.succeeded()
                self._stream_accepting = True
                self._pause(PACE_SECONDS)
        for shipment in self._shipments:
            self._close_journal(shipment.journal)
        self._client.close()

    def _close_journal(self, journal: JournalReader) -> None:
        if journal is self._own_journal and _is_unused(journal):
            # Leave no file for a successor to adopt.
            with contextlib.suppress(OSError):
                journal.delete()
        else:
            journal.close()

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
            self.backlog = measure_backlog(self._shipments, self._stream_accepting)
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
                # redis-py reconnected on its own: acknowledged batches may be gone, and the page that was just sent
                # may follow a gap.
                self._poll_progress()
                break

    def _adopt(self) -> None:
        for journal in JournalReader.adopt_abandoned(self._directory, self._unopened):
            self._shipments.append(Shipment(journal))
            self._adopted.append(self._shipments[-1])

    def _log_adopted(self) -> None:
        """Log the adopted journals with uncounted batches, once their progress is known. A clean stop leaves none."""
        for shipment in self._adopted:
            uncounted = shipment.journal.newest_seq() - shipment.committed
            if uncounted > 0:
                _log.info(
                    "shipping what an earlier process left", producer=shipment.journal.producer, batches=uncounted
                )
                self._recovering.add(shipment.journal.producer)
        self._adopted.clear()

    def _poll_progress(self) -> None:
        shards = sorted({shipment.shard for shipment in self._shipments})
        pipe = self._client.pipeline(transaction=False)
        for shard in shards:
            pipe.set(keys.incarnation_key(shard), secrets.token_hex(8), nx=True)
            pipe.get(keys.incarnation_key(shard))
        for shipment in self._shipments:
            shipment.queue_progress_reads(pipe)
        replies = pipe.execute()
        for shard, incarnation in zip(shards, replies[1 : 2 * len(shards) : 2], strict=True):
            if self._incarnations.setdefault(shard, incarnation) != incarnation:
                _log.warning("stream server was emptied or replaced, shipping again", shard=shard)
                self._incarnations[shard] = incarnation
                self._verified_connection = -1
        progress = replies[2 * len(shards) :]
        for index, shipment in enumerate(self._shipments):
            shipment.apply_progress(progress[2 * index], progress[2 * index + 1])
        self._log_adopted()
        if self._connections != self._verified_connection:
            connections = self._connections
            for shipment in self._shipments:
                shipment.verify_newest_entry(self._client)
            self._verified_connection = connections
        self._delete_counted()

    def _delete_counted(self) -> None:
        now = now_ms()
        written_before = now - self._overlap_ms
        for shipment in list(self._shipments):
            journal = shipment.journal
            if self._own_journal is not None and journal is self._own_journal:
                self._own_journal.set_deletable(shipment.committed, written_before)
                continue
            newest = journal.newest_seq()
            if shipment.committed < newest:
                continue
            rows = journal.rows_after(newest - 1, 1)
            if rows and written_before <= rows[0].written_ms <= now + AHEAD_MS:
                continue
            self._shipments.remove(shipment)
            journal.delete()
            self._client.hdel(keys.progress_key(shipment.shard), journal.producer)
            self._client.hdel(keys.resend_key(shipment.shard), journal.producer)
            if journal.producer in self._recovering:
                self._recovering.discard(journal.producer)
                _log.info("all that an earlier process left is counted", producer=journal.producer)


def _is_unused(journal: JournalReader) -> bool:
    """Return whether nothing was ever written; False if the disk cannot tell."""
    try:
        return journal.is_empty()
    except sqlite3.Error:
        return False
