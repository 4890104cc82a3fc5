"""Reading the journal of one producer: a SQLite file (WAL) with one row per group commit.

    <journal dir>/<producer>.sqlite3    batches(seq, events, written_ms, payload); meta(shard)
    <journal dir>/<producer>.lock       held (flock) by the process that owns the file

`writer.py` writes it. A file whose lock is free belonged to a dead process: any edge process with the same folder may
adopt it, ship what is left in it and delete it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import structlog

from onebyone.clock import HOUR_MS
from onebyone.runtime.file_lock import FileLock

BUSY_SECONDS = 5.0
"""How long SQLite waits for a lock of another connection, which holds it only while it recovers or restarts the WAL."""
AHEAD_MS = HOUR_MS
"""A batch that was written later than this from now was dated by a clock that was wrong, so its date says no age."""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_log = structlog.get_logger()


class Row(NamedTuple):
    """One batch as the journal keeps it."""

    seq: int
    events: int
    """Number of events in `payload`."""
    written_ms: int
    """Time of the write, ms since the epoch."""
    payload: bytes
    """The compressed lines, see `contracts/batches.py`."""


class JournalReader:
    """Read one producer's journal. Call every method on one thread."""

    def __init__(self, directory: Path, producer: str, lock: FileLock) -> None:
        """Open the journal of `producer`, whose `lock` this process holds. Raise `sqlite3.Error`."""
        self.producer = producer
        self._lock = lock
        self._directory = directory
        self._path = directory / f"{producer}.sqlite3"
        self._reader = open_database(self._path)

    @classmethod
    def adopt_abandoned(cls, directory: Path, unopened: set[str]) -> Iterator[JournalReader]:
        """Lock and yield the journals of dead processes; the caller then owns them.

        `unopened` remembers, between calls, the producers whose file cannot be opened for now: each is logged once. A
        damaged file is set aside as `.corrupt`; one whose creation was not finished is removed.
        """
        producers = {path.stem for pattern in ("*.lock", "*.sqlite3") for path in directory.glob(pattern)}
        for producer in sorted(producers):
            path = directory / f"{producer}.sqlite3"
            try:
                lock = FileLock(directory / f"{producer}.lock")
            except OSError:
                continue
            try:
                if path.exists() and _is_readable(path):
                    unopened.discard(producer)
                    yield cls(directory, producer, lock)
                    continue
            except sqlite3.Error as error:
                # Out of space, descriptors or memory: the file itself is intact, so try again in the next scan.
                if producer not in unopened:
                    _log.warning("cannot open a journal now, trying again", path=str(path), error=repr(error))
                unopened.add(producer)
                lock.release()
                continue
            # Set aside, or its process died while creating it, or another adopter has just deleted it.
            remove_files(directory, producer)
            lock.release()

    @property
    def shard(self) -> int:
        """The shard that this producer ships to."""
        shard: int = self._reader.execute("SELECT shard FROM meta").fetchone()[0]
        return shard

    def oldest_seq(self) -> int:
        """Return the lowest seq that the journal still keeps; 1 if it keeps none."""
        return self._reader.execute("SELECT min(seq) FROM batches").fetchone()[0] or 1

    def newest_seq(self) -> int:
        """Return the highest seq that is on disk; 0 if none is."""
        return self._reader.execute("SELECT max(seq) FROM batches").fetchone()[0] or 0

    def is_empty(self) -> bool:
        """Return whether the file has no batch, not even one that is not on disk yet."""
        return not self._reader.execute("SELECT EXISTS (SELECT 1 FROM batches)").fetchone()[0]

    def rows_after(self, seq: int, limit: int) -> list[Row]:
        """Return up to `limit` batches after `seq` that are on disk, in order."""
        cursor = self._reader.execute(
            "SELECT seq, events, written_ms, payload FROM batches WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
            (seq, self.newest_seq(), limit),
        )
        return [Row(*row) for row in cursor]

    def first_written_ms_after(self, seq: int) -> int | None:
        """Return when the first batch after `seq` was written, ms since the epoch; None if none is on disk."""
        row = self._reader.execute(
            "SELECT written_ms FROM batches WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 1", (seq, self.newest_seq())
        ).fetchone()
        return None if row is None else int(row[0])

    def size_bytes(self) -> int:
        """Return the bytes that the database and its WAL occupy."""
        paths = (self._path, Path(f"{self._path}-wal"))
        return sum(path.stat().st_size for path in paths if path.exists())

    def close(self) -> None:
        """Close the file and release the lock; another process may then adopt what is left in it."""
        self._close_file()
        self._lock.release()

    def delete(self) -> None:
        """Close and remove the file. Call only when the report store has everything in it."""
        self._close_file()
        try:
            remove_files(self._directory, self.producer)
        finally:
            self._lock.release()

    def _close_file(self) -> None:
        self._reader.close()


def open_database(path: Path) -> sqlite3.Connection:
    """Open the journal file at `path` in WAL mode; the connection may be used from any one thread at a time."""
    connection = _connect(path)
    try:
        _configure(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def remove_files(directory: Path, producer: str) -> None:
    """Remove every file of this producer."""
    for path in (*_parts(directory / f"{producer}.sqlite3"), directory / f"{producer}.lock"):
        path.unlink(missing_ok=True)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)


def _configure(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _is_readable(path: Path) -> bool:
    """Return whether the file has its tables; set a damaged one aside."""
    connection = _connect(path)
    try:
        _configure(connection)
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'batches'").fetchone()[0]
        return bool(tables) and connection.execute("SELECT count(*) FROM meta").fetchone()[0] == 1
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
            raise
        # Before the connection is closed: that deletes the WAL.
        _set_aside(path, error)
        return False
    finally:
        connection.close()


def _set_aside(path: Path, error: sqlite3.Error) -> None:
    # So that it cannot hold up the others; it is kept for a rescue by hand.
    _log.error("cannot read a journal, set aside as .corrupt", path=str(path), error=repr(error))
    for part in _parts(path):
        if part.exists():
            part.rename(f"{part}.corrupt")


def _parts(path: Path) -> tuple[Path, Path, Path]:
    return path, Path(f"{path}-wal"), Path(f"{path}-shm")
