"""The last known configuration on the edge's disk, for an edge that starts while the cache server is away.

    <data dir>/last-known.sqlite3    records(key, text), by Redis key; state(store_id, version, confirmed_ms)

It holds what the edges of this data dir were asked for, up to a number, and is always as of one published version: a
thread compares it with `keys.HEAD` and takes over every change that was published since. Nothing of it is read before
the cache server cannot be asked, and then record by record; so it costs a start nothing. It is a copy: a file that is
damaged is made anew, and a disk that is full only makes it old.
"""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, cast

import redis
import structlog

from onebyone.clock import now_ms
from onebyone.contracts import keys
from onebyone.contracts.configuration import Head
from onebyone.runtime.redis_client import Unavailable, connect_blocking

UPDATE_SECONDS = 1.0
"""How often what is on disk is brought up to date."""
PAGE_KEYS = 500
BUSY_SECONDS = 5.0
"""How long to wait for a sibling that writes."""
CONFIRM_MS = 10_000
"""How exactly it is noted until when the file was known to be right."""
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, text BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS state (
    one INTEGER PRIMARY KEY CHECK (one = 1), store_id TEXT NOT NULL, version INTEGER NOT NULL,
    confirmed_ms INTEGER NOT NULL
);
"""

_log = structlog.get_logger()


class SnapshotState(NamedTuple):
    """What the file is a copy of."""

    head: Head
    confirmed_ms: int
    """When the cache server was last seen to have published nothing else."""


class ConfigSnapshot:
    """The file, and the thread that keeps it. `note` and `recall` may be called from any thread."""

    def __init__(self, path: Path, cache_url: str, limit: int) -> None:
        self._path = path
        self._limit = limit
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._wanted: dict[str, None] = {}
        self._client = connect_blocking(cache_url)
        self._stopping = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="last known", daemon=True)
        self.records = 0

    def start(self) -> None:
        """Begins to follow what is published."""
        self._thread.start()

    def stop(self) -> None:
        """Writes what was noted and ends. Blocks."""
        self._stopping.set()
        self._thread.join()

    def remember(self, key: str) -> None:
        """An edge answers by this record: it is to be kept."""
        self._queue.put(key)

    def load(self, key: str) -> bytes | None:
        """The record as last known; None when it is not kept. Blocks for one look-up on disk."""
        with contextlib.suppress(sqlite3.Error), self._open_existing() as connection:
            row = connection.execute("SELECT text FROM records WHERE key = ?", (key,)).fetchone()
            return None if row is None else bytes(row[0])
        return None

    def state(self) -> SnapshotState | None:
        """What the file is a copy of; None when there is nothing to answer by. Blocks for a look on disk."""
        with contextlib.suppress(sqlite3.Error), self._open_existing() as connection:
            if connection.execute("SELECT 1 FROM records LIMIT 1").fetchone() is not None:
                return _read_state(connection)
        return None

    @contextlib.contextmanager
    def _open_existing(self) -> Iterator[sqlite3.Connection]:
        # Not read-only: what a killed writer has left half done is rolled back by the next reader.
        connection = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS)
        with contextlib.closing(connection):
            yield connection

    def _run(self) -> None:
        stopped = False
        while not stopped:
            stopped = self._stopping.wait(UPDATE_SECONDS)
            self._drain_queue()
            try:
                self._update()
            except Unavailable:
                # Now it is needed, and stays as it is. The watcher of this process tells that the server is away.
                pass
            except Exception as error:
                if not self._failing:
                    _log.warning("last known configuration cannot be kept", path=str(self._path), error=repr(error))
                self._failing = True
                if getattr(error, "sqlite_errorcode", 0) & 0xFF in _BROKEN:
                    for part in (self._path, Path(f"{self._path}-journal")):
                        part.unlink(missing_ok=True)
            else:
                self._failing = False
        self._client.close()

    def _drain_queue(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                key = self._queue.get_nowait()
                if len(self._wanted) < self._limit:
                    self._wanted[key] = None

    def _update(self) -> None:
        head = self._read_head()
        if head is None:
            return
        with contextlib.closing(_open_database(self._path)) as connection:
            if self.records and not self._wanted and _is_confirmed(_read_state(connection), head):
                # Nothing has come: no lock that a sibling would wait for, and nothing to count.
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._apply_changes(connection, head)
                self._add_wanted(connection)
                connection.execute("COMMIT")
                self._wanted.clear()
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            self.records = connection.execute("SELECT count(*) FROM records").fetchone()[0]

    def _read_head(self) -> Head | None:
        text = cast("bytes | None", self._client.get(keys.HEAD))
        return None if text is None else Head.decode(text)

    def _apply_changes(self, connection: sqlite3.Connection, head: Head) -> None:
        """Brings every record that is kept to what is published now."""
        state = _read_state(connection)
        if _is_confirmed(state, head):
            return
        if state is None or state.head.store_id != head.store_id:
            connection.execute("DELETE FROM records")
        elif state.head != head:
            changed = self._changed_keys(state.head, head)
            self._refresh(connection, _all_keys(connection) if changed is None else changed)
        row = (head.store_id, head.version, now_ms())
        connection.execute("INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?)", row)

    def _changed_keys(self, old: Head, new: Head) -> list[str] | None:
        """The keys that were published behind a version; None when that is not known."""
        if not 0 < new.version - old.version < keys.CHANGES_LENGTH:
            return None
        count = new.version - old.version + 1
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self._client.xrevrange(keys.CHANGES, count=count))
        newest_first = [(int(fields[b"v"]), fields[b"keys"].decode().split()) for _, fields in entries]
        if not newest_first or newest_first[0][0] < new.version or newest_first[-1][0] > old.version:
            return None
        return [key for version, names in newest_first if version > old.version for key in names]

    def _refresh(self, connection: sqlite3.Connection, names: list[str]) -> None:
        for some, texts in self._read_pages(names):
            gone = [(key,) for key, text in zip(some, texts, strict=True) if text is None]
            there = [(text, key, text) for key, text in zip(some, texts, strict=True) if text is not None]
            connection.executemany("DELETE FROM records WHERE key = ?", gone)
            connection.executemany("UPDATE records SET text = ? WHERE key = ? AND text <> ?", there)

    def _add_wanted(self, connection: sqlite3.Connection) -> None:
        known = "SELECT 1 FROM records WHERE key = ?"
        new = [key for key in self._wanted if connection.execute(known, (key,)).fetchone() is None]
        for some, texts in self._read_pages(new):
            rows = [(key, text) for key, text in zip(some, texts, strict=True) if text is not None]
            connection.executemany("INSERT OR IGNORE INTO records (key, text) VALUES (?, ?)", rows)
        if new:
            # The oldest go: what is still asked for comes again with the next start of an edge.
            oldest = "SELECT number FROM records ORDER BY number DESC LIMIT -1 OFFSET ?"
            connection.execute(f"DELETE FROM records WHERE number IN ({oldest})", (self._limit,))  # noqa: S608

    def _read_pages(self, names: list[str]) -> Iterator[tuple[list[str], list[bytes | None]]]:
        for start in range(0, len(names), PAGE_KEYS):
            some = names[start : start + PAGE_KEYS]
            yield some, cast("list[bytes | None]", self._client.mget(some))
        # A cache that was emptied meanwhile has no record of anything.
        if names and self._read_head() is None:
            raise redis.RedisError("the cache is being refilled")


def _open_database(path: Path) -> sqlite3.Connection:
    # With a rollback journal, not with a WAL: so a full disk keeps nobody from reading.
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
    connection.executescript(_SCHEMA)
    return connection


def _read_state(connection: sqlite3.Connection) -> SnapshotState | None:
    row = connection.execute("SELECT store_id, version, confirmed_ms FROM state").fetchone()
    return None if row is None else SnapshotState(Head(row[0], row[1]), row[2])


def _is_confirmed(state: SnapshotState | None, head: Head) -> bool:
    """Whether the file is a copy of this version, and has lately been found to be."""
    return state is not None and state.head == head and now_ms() - state.confirmed_ms < CONFIRM_MS


def _all_keys(connection: sqlite3.Connection) -> list[str]:
    return [key for (key,) in connection.execute("SELECT key FROM records ORDER BY number")]
