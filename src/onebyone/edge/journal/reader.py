"""The journal of one producer: a SQLite file (WAL) with one row a group commit.

    <journal dir>/<producer>.sqlite3    batches(seq, events, written_ms, payload); meta(shard)
    <journal dir>/<producer>.lock       held (flock) by the process that owns the file

Who writes one is in `own_journal.py`. A file whose lock is free belonged to a dead process: any edge process on the
folder may adopt it, ship what is left and delete it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import structlog

from onebyone.runtime.file_lock import FileLock

_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_log = structlog.get_logger()


class Row(NamedTuple):
    """One batch as the journal keeps it."""

    seq: int
    events: int
    written_ms: int
    payload: bytes


class JournalReader:
    """One producer's file, read; all methods belong to one thread."""

    def __init__(self, directory: Path, producer: str, lock: FileLock) -> None:
        self.producer = producer
        self._lock = lock
        self._directory = directory
        self._path = directory / f"{producer}.sqlite3"
        self._reader = open_database(self._path)

    @classmethod
    def adopt_abandoned(cls, directory: Path, unopened: set[str]) -> Iterator[JournalReader]:
        """The journals of dead processes, each now owned by the caller.

        `unopened` are producers whose file could not be opened before, which is logged once.
        """
        producers = {path.stem for pattern in ("*.lock", "*.sqlite3") for path in directory.glob(pattern)}
        for producer in sorted(producers):
            path = directory / f"{producer}.sqlite3"
            try:
                lock = FileLock(directory / f"{producer}.lock")
            except OSError:
                continue
            try:
                if path.exists() and _has_schema(path):
                    unopened.discard(producer)
                    yield cls(directory, producer, lock)
                    continue
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _BROKEN:
                    # No room, no descriptors, no memory: nothing is wrong with the file, its time will come.
                    if producer not in unopened:
                        _log.warning("journal cannot be opened now", path=str(path), error=repr(error))
                    unopened.add(producer)
                    lock.release()
                    continue
                # Out of the way, so that one broken file never holds up the others, but kept for a rescue by hand.
                _log.error("journal cannot be read, set aside as .corrupt", path=str(path), error=repr(error))
                for part in _parts(path):
                    if part.exists():
                        part.rename(f"{part}.corrupt")
            # Broken, or the process died before its first commit, or another adopter has just finished with it.
            remove_files(directory, producer)
            lock.release()

    @property
    def shard(self) -> int:
        """The shard that this producer writes to."""
        shard: int = self._reader.execute("SELECT shard FROM meta").fetchone()[0]
        return shard

    def oldest_seq(self) -> int:
        """The lowest seq that is kept; 1 when nothing ever was."""
        return self._reader.execute("SELECT min(seq) FROM batches").fetchone()[0] or 1

    def newest_seq(self) -> int:
        """The highest seq that is on disk; 0: none is."""
        return self._reader.execute("SELECT max(seq) FROM batches").fetchone()[0] or 0

    def rows_after(self, seq: int, rows: int) -> list[Row]:
        """Up to `rows` batches behind `seq` that are on disk, in order."""
        cursor = self._reader.execute(
            "SELECT seq, events, written_ms, payload FROM batches WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
            (seq, self.newest_seq(), rows),
        )
        return [Row(*row) for row in cursor]

    def first_written_ms_after(self, seq: int) -> int | None:
        """When the first batch behind `seq` was written, ms since the epoch; None when none is on disk."""
        row = self._reader.execute(
            "SELECT written_ms FROM batches WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 1", (seq, self.newest_seq())
        ).fetchone()
        return None if row is None else int(row[0])

    def size_bytes(self) -> int:
        """Bytes on disk."""
        paths = (self._path, Path(f"{self._path}-wal"))
        return sum(path.stat().st_size for path in paths if path.exists())

    def close(self) -> None:
        """Closes the file and gives the lock back; what it holds waits for an adopter."""
        self._close_file()
        self._lock.release()

    def delete(self) -> None:
        """Closes the file and removes it: everything in it is in the report store."""
        self._close_file()
        remove_files(self._directory, self.producer)
        self._lock.release()

    def _close_file(self) -> None:
        self._reader.close()


def open_database(path: Path) -> sqlite3.Connection:
    """A connection to the file, which any thread may use."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def remove_files(directory: Path, producer: str) -> None:
    """Nothing of this producer is left."""
    for path in (*_parts(directory / f"{producer}.sqlite3"), directory / f"{producer}.lock"):
        path.unlink(missing_ok=True)


def _has_schema(path: Path) -> bool:
    connection = open_database(path)
    try:
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'batches'").fetchone()[0]
        return bool(tables) and connection.execute("SELECT count(*) FROM meta").fetchone()[0] == 1
    finally:
        connection.close()


def _parts(path: Path) -> tuple[Path, Path, Path]:
    return path, Path(f"{path}-wal"), Path(f"{path}-shm")
