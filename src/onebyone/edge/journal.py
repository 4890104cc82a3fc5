"""The journal of one producer: a SQLite file (WAL, synchronous=FULL) with one row a group commit.

    <journal dir>/<producer>.sqlite3    batches(seq, events, written_ms, payload); meta(shard)
    <journal dir>/<producer>.lock       held (flock) by the process that owns the file

One writing connection (the owner's committing thread) and one reading connection (the shipping thread). Once `append`
returns, the batch survives SIGKILL and, as far as the disk tells the truth, power loss. A file whose lock is free
belonged to a dead process: any edge process on the folder may adopt it, ship what is left and delete it. The lock is a
file of its own because closing any descriptor of a SQLite file drops the locks that SQLite holds on it.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import structlog

from onebyone import batches
from onebyone.clock import now_ms

_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_log = structlog.get_logger()

FORGET_ROWS = 4096
"""Rows that one look for old batches goes through at most."""
DELETE_STEP = 256
"""Rows that one commit deletes at most, so that forgetting a long backlog never delays an answer."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (shard INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS batches (
    seq INTEGER PRIMARY KEY, events INTEGER NOT NULL, written_ms INTEGER NOT NULL, payload BLOB NOT NULL
);
"""


class Row(NamedTuple):
    """One batch as the journal keeps it."""

    seq: int
    events: int
    written_ms: int
    payload: bytes


class Lock:
    """Ownership of a producer's journal, by whichever process holds it."""

    def __init__(self, path: Path) -> None:
        """Raises BlockingIOError when another process holds it."""
        while True:
            file = path.open("a+b")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Between open and flock a sibling may have removed the file: a lock on that would lock nothing.
                if _is_at(file.fileno(), path):
                    self._file = file
                    return
            except OSError:
                file.close()
                raise
            file.close()

    def release(self) -> None:
        """Lets another process take the journal."""
        self._file.close()


class Journal:
    """One producer's file. `append` belongs to one thread, all else to another."""

    def __init__(self, directory: Path, producer: str, lock: Lock) -> None:
        self.producer = producer
        self._lock = lock
        self._directory = directory
        self._path = directory / f"{producer}.sqlite3"
        self._writer = _open(self._path)
        self._reader = _open(self._path)
        self._forget_to = 0

    @classmethod
    def create(cls, directory: Path, producer: str, shard: int) -> Journal:
        """A new producer's empty journal, on disk with its folder entry. Raises OSError or `sqlite3.Error`."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{producer}.lock"
        lock = _own_lock(path)
        try:
            journal = cls(directory, producer, lock)
            journal._writer.executescript(_SCHEMA)
            journal._writer.execute("INSERT INTO meta (shard) VALUES (?)", (shard,))
            _sync_directory(directory)
        except BaseException:
            # No room: whoever tries again takes another name, and nothing must be left of this one.
            _unlink(directory / f"{producer}.sqlite3", path)
            lock.release()
            raise
        return journal

    @classmethod
    def abandoned(cls, directory: Path, unopened: set[str]) -> Iterator[Journal]:
        """The journals of dead processes, each now owned by the caller.

        `unopened` are producers whose file could not be opened before, which is logged once.
        """
        producers = {path.stem for pattern in ("*.lock", "*.sqlite3") for path in directory.glob(pattern)}
        for producer in sorted(producers):
            path, database = directory / f"{producer}.lock", directory / f"{producer}.sqlite3"
            try:
                lock = Lock(path)
            except OSError:
                continue
            try:
                if database.exists() and _has_schema(database):
                    unopened.discard(producer)
                    yield cls(directory, producer, lock)
                    continue
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _BROKEN:
                    # No room, no descriptors, no memory: nothing is wrong with the file, its time will come.
                    if producer not in unopened:
                        _log.warning("journal cannot be opened now", path=str(database), error=repr(error))
                    unopened.add(producer)
                    lock.release()
                    continue
                # Out of the way, so that one broken file never holds up the others, but kept for a rescue by hand.
                _log.error("journal cannot be read, set aside as .corrupt", path=str(database), error=repr(error))
                for part in _parts(database):
                    if part.exists():
                        part.rename(f"{part}.corrupt")
            # Broken, or the process died before its first commit, or another adopter has just finished with it.
            _unlink(database, path)
            lock.release()

    @property
    def shard(self) -> int:
        """The shard that this producer writes to."""
        shard: int = self._reader.execute("SELECT shard FROM meta").fetchone()[0]
        return shard

    def bounds(self) -> tuple[int, int]:
        """Lowest and highest seq that are kept; (1, 0) when nothing ever was."""
        # Two look-ups at the ends of the index; asked for together, SQLite would read the whole table.
        low, high = self._reader.execute(
            "SELECT (SELECT min(seq) FROM batches), (SELECT max(seq) FROM batches)"
        ).fetchone()
        return (low, high) if low is not None else (1, 0)

    def after(self, seq: int, rows: int) -> list[Row]:
        """Up to `rows` batches behind `seq`, in order."""
        cursor = self._reader.execute(
            "SELECT seq, events, written_ms, payload FROM batches WHERE seq > ? ORDER BY seq LIMIT ?", (seq, rows)
        )
        return [Row(*row) for row in cursor]

    def written_after(self, seq: int) -> int | None:
        """When the first batch behind `seq` was written, ms since the epoch; None when there is none."""
        row = self._reader.execute(
            "SELECT written_ms FROM batches WHERE seq > ? ORDER BY seq LIMIT 1", (seq,)
        ).fetchone()
        return None if row is None else int(row[0])

    def append(self, seq: int, events: int, payload: bytes) -> None:
        """Writes one batch and syncs it; also deletes a step of what may be forgotten. Raises `sqlite3.Error`."""
        forget_to = self._forget_to
        insert = ("INSERT INTO batches VALUES (?, ?, ?, ?)", (seq, events, now_ms(), payload))
        if not forget_to:
            self._writer.execute(*insert)
            return
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.execute(*insert)
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

    def may_forget(self, seq: int, written_before_ms: int) -> None:
        """Batches up to `seq` that were written before that time are in the report store: the next appends delete them.

        The newest batch stays until another is written, so that the file never forgets how far its seq had come.
        """
        low, high = self.bounds()
        if low > min(seq, high - 1):
            return
        row = self._reader.execute(
            "SELECT max(seq) FROM (SELECT seq, written_ms FROM batches WHERE seq <= ? ORDER BY seq LIMIT ?)"
            " WHERE written_ms < ?",
            (min(seq, high - 1), FORGET_ROWS, written_before_ms),
        ).fetchone()
        self._forget_to = row[0] or 0

    def size(self) -> int:
        """Bytes on disk."""
        paths = (self._path, Path(f"{self._path}-wal"))
        return sum(path.stat().st_size for path in paths if path.exists())

    def close(self) -> None:
        """Closes the file and gives the lock back; what it holds waits for an adopter."""
        self._writer.close()
        self._reader.close()
        self._lock.release()

    def delete(self) -> None:
        """Closes the file and removes it: everything in it is in the report store."""
        self._writer.close()
        self._reader.close()
        _unlink(self._path, self._directory / f"{self.producer}.lock")
        self._lock.release()


def new(directory: Path, shards: int) -> Journal:
    """The journal of a producer that starts its life now."""
    producer = batches.new_producer()
    return Journal.create(directory, producer, batches.shard_of(producer, shards))


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _has_schema(path: Path) -> bool:
    connection = _open(path)
    try:
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'batches'").fetchone()[0]
        return bool(tables) and connection.execute("SELECT count(*) FROM meta").fetchone()[0] == 1
    finally:
        connection.close()


def _parts(database: Path) -> tuple[Path, Path, Path]:
    return database, Path(f"{database}-wal"), Path(f"{database}-shm")


def _unlink(database: Path, lock: Path) -> None:
    for path in (*_parts(database), lock):
        path.unlink(missing_ok=True)


def _own_lock(path: Path) -> Lock:
    """The lock of a new producer; a sibling that looks for abandoned journals may hold it for a moment."""
    for _ in range(200):
        try:
            return Lock(path)
        except BlockingIOError:
            time.sleep(0.01)
    return Lock(path)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
