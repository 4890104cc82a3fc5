"""The journal that a process writes: its rows are put on disk one group commit after the other.

`begin` hands a batch to the kernel and begins its sync; once `ended` has said so the batch survives SIGKILL and, as far
as the disk tells the truth, power loss. It is what SQLite does by itself with `synchronous=FULL`, in the same order,
but nobody waits: the commit is written without a sync (`NORMAL`), and the WAL is synced by us (`disk_sync.py`). No
other commit begins meanwhile, and what is not synced is not shipped. SQLite itself still syncs within `begin` when it
makes a checkpoint, after a thousand pages, and when the WAL then begins anew. Nobody else may make checkpoints: up to
3.51.2 SQLite can lose commits when two connections do (sqlite.org/wal.html, "The WAL-Reset Bug").
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from onebyone.clock import now_ms
from onebyone.contracts import batches
from onebyone.edge.journal import disk_sync
from onebyone.edge.journal.reader import JournalReader, open_database, remove_files
from onebyone.runtime.file_lock import FileLock

FORGET_ROWS = 4096
"""Rows that one look for old batches goes through at most."""
DELETE_STEP = 256
"""Rows that one commit deletes at most, so that forgetting a long backlog never delays an answer."""

_SCHEMA = """
CREATE TABLE meta (shard INTEGER NOT NULL);
CREATE TABLE batches (
    seq INTEGER PRIMARY KEY, events INTEGER NOT NULL, written_ms INTEGER NOT NULL, payload BLOB NOT NULL
);
"""


class JournalWriter(JournalReader):
    """The journal of this process. `begin` and `ended` belong to one thread, all else to another."""

    def __init__(self, directory: Path, producer: str, lock: FileLock, shard: int) -> None:
        """Empty, and on disk with its folder entry. Raises `OSError` or `sqlite3.Error`."""
        super().__init__(directory, producer, lock)
        self._writer = open_database(self._path)
        self._writer.executescript(_SCHEMA)
        self._writer.execute("INSERT INTO meta (shard) VALUES (?)", (shard,))
        self._writer.execute("PRAGMA synchronous=NORMAL")
        self._synced = 0
        self._forget_to = 0
        _sync_directory(directory)
        self._wal = os.open(f"{self._path}-wal", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._sync = disk_sync.open_disk_sync(self._wal)
        except BaseException:
            os.close(self._wal)
            raise
        self.fd = self._sync.fd
        """Can be read when a sync has ended."""

    @classmethod
    def create(cls, directory: Path, producer: str, shard: int) -> JournalWriter:
        """A new producer's. Raises `OSError` or `sqlite3.Error`."""
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock.of_new_file(directory / f"{producer}.lock")
        try:
            return cls(directory, producer, lock, shard)
        except BaseException:
            # No room: whoever tries again takes another name, and nothing must be left of this one.
            remove_files(directory, producer)
            lock.release()
            raise

    def begin_batch(self, events: int, payload: bytes) -> None:
        """Writes the next batch and begins its sync; also deletes a step of what may be forgotten.

        Raises `sqlite3.Error`, when nothing was written, or `OSError`: nobody knows what is on disk.
        """
        self._write((self._synced + 1, events, now_ms(), payload))
        self._sync.start()

    def poll_synced(self) -> bool:
        """Whether it is on disk, and may be shipped. Raises `OSError`: nobody knows what is on disk."""
        if not self._sync.poll_done():
            return False
        self._synced += 1
        return True

    def newest_seq(self) -> int:
        """The seq of the last batch that is on disk; 0: none is."""
        return self._synced

    def set_deletable(self, seq: int, written_before_ms: int) -> None:
        """Batches up to `seq` that were written before that time are in the report store: the next ones delete them.

        The newest batch stays until another is written, so that the file never forgets how far its seq had come.
        """
        seq = min(seq, self._synced - 1)
        if self.oldest_seq() > seq:
            return
        row = self._reader.execute(
            "SELECT max(seq) FROM (SELECT seq, written_ms FROM batches WHERE seq <= ? ORDER BY seq LIMIT ?)"
            " WHERE written_ms < ?",
            (seq, FORGET_ROWS, written_before_ms),
        ).fetchone()
        self._forget_to = row[0] or 0

    def _close_file(self) -> None:
        # No sync is under way.
        self._sync.close()
        os.close(self._wal)
        self._writer.close()
        super()._close_file()

    def _write(self, row: tuple[int, int, int, bytes]) -> None:
        forget_to = self._forget_to
        insert = "INSERT INTO batches VALUES (?, ?, ?, ?)"
        if not forget_to:
            self._writer.execute(insert, row)
            return
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.execute(insert, row)
            gone = self._writer.execute(
                "DELETE FROM batches WHERE seq IN (SELECT seq FROM batches WHERE seq <= ? ORDER BY seq LIMIT ?)",
                (forget_to, DELETE_STEP),
            ).rowcount
            self._writer.execute("COMMIT")
        except sqlite3.Error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise
        if gone < DELETE_STEP:
            self._forget_to = 0


def create_journal(directory: Path, shards: int) -> JournalWriter:
    """The journal of a producer that starts its life now."""
    producer = batches.new_producer()
    return JournalWriter.create(directory, producer, batches.shard_of(producer, shards))


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
