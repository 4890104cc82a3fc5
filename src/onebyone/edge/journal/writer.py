"""Writing the journal of this process: one row per group commit, each synced before the next is written.

`begin_batch` hands a batch to the kernel and starts its sync. Once `poll_synced` returns True, the batch survives
SIGKILL and, provided that the disk tells the truth, power loss. SQLite does the same in the same order with
`synchronous=FULL`, but blocks. Here the commit is written without a sync (`synchronous=NORMAL`), and this module syncs
the WAL (`disk_sync.py`). That is as safe, because no other commit starts before the sync has ended, and because a batch
that is not synced is not shipped, nor answered unless the operator has chosen a receipt from memory.

SQLite itself still syncs within `begin_batch` when it runs a checkpoint, after a thousand pages, and when it restarts
the WAL afterwards. No other connection may run checkpoints: SQLite up to 3.51.2 can lose commits if two connections do
(sqlite.org/wal.html, "The WAL-Reset Bug").
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from onebyone.clock import now_ms
from onebyone.contracts import batches
from onebyone.edge.journal import disk_sync
from onebyone.edge.journal.reader import AHEAD_MS, JournalReader, open_database, remove_files
from onebyone.runtime.file_lock import FileLock

SCAN_ROWS = 4096
"""Most rows that one search for deletable batches reads, so that a long backlog never blocks the shipping thread."""
DELETE_STEP = 256
"""Most rows that one commit deletes, so that deleting a long backlog never delays a response."""

_SCHEMA = """
CREATE TABLE meta (shard INTEGER NOT NULL);
CREATE TABLE batches (
    seq INTEGER PRIMARY KEY, events INTEGER NOT NULL, written_ms INTEGER NOT NULL, payload BLOB NOT NULL
);
"""


class JournalWriter(JournalReader):
    """Write and read the journal of this process.

    Call `begin_batch` and `poll_synced` on one thread (the event loop's), everything else on one other (the shipper's).
    """

    def __init__(self, directory: Path, producer: str, lock: FileLock, shard: int) -> None:
        """Create an empty journal and sync it with its folder entry. Raise `OSError` or `sqlite3.Error`."""
        super().__init__(directory, producer, lock)
        with contextlib.ExitStack() as undo:
            undo.callback(self._reader.close)
            self._writer = open_database(self._path)
            undo.callback(self._writer.close)
            self._writer.executescript(_SCHEMA)
            self._writer.execute("INSERT INTO meta (shard) VALUES (?)", (shard,))
            self._writer.execute("PRAGMA synchronous=NORMAL")
            self._synced = 0
            self._delete_to = 0
            _sync_directory(directory)
            self._wal = os.open(f"{self._path}-wal", os.O_RDONLY | os.O_CLOEXEC)
            undo.callback(os.close, self._wal)
            self._sync = disk_sync.open_disk_sync(self._wal)
            self._places = [(path, _identity(path.stat())) for path in (self._path, Path(f"{self._path}-wal"))]
            undo.pop_all()
        self.fd = self._sync.fd
        """A file descriptor that becomes readable when a sync has ended."""

    @classmethod
    def create(cls, directory: Path, producer: str, shard: int) -> JournalWriter:
        """Create the journal and the lock of a new producer. Raise `OSError` or `sqlite3.Error`, leaving no file."""
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock.of_new_file(directory / f"{producer}.lock")
        try:
            return cls(directory, producer, lock, shard)
        except BaseException:
            # No space: the next attempt uses another name, so nothing may be left of this one.
            remove_files(directory, producer)
            lock.release()
            raise

    def begin_batch(self, events: int, payload: bytes) -> None:
        """Write the next batch and start its sync; also delete up to `DELETE_STEP` deletable batches.

        Raise `sqlite3.Error` if nothing was written, `OSError` if it is unknown what is on disk.
        """
        self._write((self._synced + 1, events, now_ms(), payload))
        self._sync.start()

    def poll_synced(self) -> bool:
        """Return whether the batch that was begun is on disk; it may then be shipped.

        Raise `OSError` if the sync failed: it is then unknown what is on disk.
        """
        if not self._sync.poll_done():
            return False
        self._synced += 1
        return True

    def newest_seq(self) -> int:
        """Return the seq of the last batch that is on disk; 0 if none is."""
        return self._synced

    def is_gone(self) -> bool:
        """Return whether a file of the journal was deleted or moved away, so that no successor would find it.

        May be called on any thread. Raise `OSError` if the disk cannot tell.
        """
        try:
            return any(_identity(path.stat()) != identity for path, identity in self._places)
        except (FileNotFoundError, NotADirectoryError):
            return True

    def set_deletable(self, seq: int, written_before_ms: int) -> None:
        """Let the next commits delete the batches up to `seq` that were written before the given time (ms).

        Only for batches that the report store has counted. The newest batch is never deletable: it tells how far the
        seq has come. One that is dated more than `AHEAD_MS` ahead is deletable too, or it would keep those after it.
        """
        seq = min(seq, self._synced - 1)
        if self.oldest_seq() > seq:
            return
        row = self._reader.execute(
            "SELECT max(seq) FROM (SELECT seq, written_ms FROM batches WHERE seq <= ? ORDER BY seq LIMIT ?)"
            " WHERE written_ms < ? OR written_ms > ?",
            (seq, SCAN_ROWS, written_before_ms, now_ms() + AHEAD_MS),
        ).fetchone()
        self._delete_to = row[0] or 0

    def _close_file(self) -> None:
        # The caller has made sure that no sync is in progress.
        self._sync.close()
        os.close(self._wal)
        self._writer.close()
        super()._close_file()

    def _write(self, row: tuple[int, int, int, bytes]) -> None:
        delete_to = self._delete_to
        insert = "INSERT INTO batches VALUES (?, ?, ?, ?)"
        if not delete_to:
            self._writer.execute(insert, row)
            return
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.execute(insert, row)
            deleted = self._writer.execute(
                "DELETE FROM batches WHERE seq IN (SELECT seq FROM batches WHERE seq <= ? ORDER BY seq LIMIT ?)",
                (delete_to, DELETE_STEP),
            ).rowcount
            self._writer.execute("COMMIT")
        except sqlite3.Error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise
        if deleted < DELETE_STEP:
            self._delete_to = 0


def create_journal(directory: Path, shards: int) -> JournalWriter:
    """Create the journal of a new producer, named at random and assigned to one of `shards` shards."""
    producer = batches.new_producer()
    return JournalWriter.create(directory, producer, batches.shard_of(producer, shards))


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
