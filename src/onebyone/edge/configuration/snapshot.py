"""The last known configuration on disk, for an edge that starts while the cache server is unreachable.

    <data folder>/last-known.sqlite3    records(key, text), by Redis key
                                        state(store_id, version, confirmed_ms, committed_ms)

The file holds the records that the edges of this data folder have used, up to a limit, and always those of one
published version: a thread compares it with `keys.HEAD` and applies every change published since. It is read only while
the cache server cannot be asked, and then record by record, so it does not slow a start down. It is only a copy: a
damaged file is replaced, and a full disk merely lets it age.
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

from onebyone.clock import now_ms
from onebyone.contracts import keys
from onebyone.contracts.configuration import Head
from onebyone.runtime.outage import Outage
from onebyone.runtime.redis_client import Unavailable, connect_blocking

UPDATE_SECONDS = 1.0
"""How often the file is brought up to date: a crash loses little, and if nothing has changed it costs one GET."""
PAGE_KEYS = 500
"""Records read with one MGET: a few hundred kilobytes, so that the server is not blocked for longer."""
BUSY_SECONDS = 5.0
"""How long to wait while another edge process writes, which takes far less."""
CONFIRM_MS = 10_000
"""How often an unchanged file is confirmed as current: a write, so not with every update; the reported age is as exact
as this."""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, text BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS state (
    one INTEGER PRIMARY KEY CHECK (one = 1), store_id TEXT NOT NULL, version INTEGER NOT NULL,
    confirmed_ms INTEGER NOT NULL, committed_ms INTEGER NOT NULL DEFAULT 0
);
"""
_ADD_COMMITTED = "ALTER TABLE state ADD COLUMN committed_ms INTEGER NOT NULL DEFAULT 0"
"""For a file that release 0.1.0 has written."""


class SnapshotState(NamedTuple):
    """The version of which the file is a copy."""

    head: Head
    confirmed_ms: int
    """When this was last confirmed as the newest published version, ms since the epoch."""


class ConfigSnapshot:
    """Keep the file up to date on a separate thread. `remember` and `load` may be called from any thread."""

    def __init__(self, path: Path, cache_url: str, limit: int) -> None:
        """Keep up to `limit` records in the file at `path`, as published on the cache server at `cache_url`."""
        self._path = path
        self._limit = limit
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._wanted: dict[str, None] = {}
        self._client = connect_blocking(cache_url)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="snapshot", daemon=True)
        self.records = 0
        """Number of records in the file, as of the last update."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write the remembered records and end the thread. Blocks."""
        self._stopping.set()
        self._thread.join()

    def remember(self, key: str) -> None:
        """Add the record under this Redis key to the file with the next update: an edge uses it."""
        self._queue.put(key)

    def load(self, key: str) -> bytes | None:
        """Return the encoded record under this Redis key, None if the file lacks it. Blocks for one look-up on disk."""
        with contextlib.suppress(sqlite3.Error), self._open_existing() as connection:
            row = connection.execute("SELECT text FROM records WHERE key = ?", (key,)).fetchone()
            return None if row is None else bytes(row[0])
        return None

    def state(self) -> SnapshotState | None:
        """Return the version of the file, None if it holds no record. Blocks for one look-up on disk."""
        with contextlib.suppress(sqlite3.Error), self._open_existing() as connection:
            if connection.execute("SELECT 1 FROM records LIMIT 1").fetchone() is not None:
                return _read_state(connection)
        return None

    @contextlib.contextmanager
    def _open_existing(self) -> Iterator[sqlite3.Connection]:
        # Not read-only, because a reader must be able to roll back what a killed writer left half done.
        connection = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS)
        with contextlib.closing(connection):
            yield connection

    def _run(self) -> None:
        outage = Outage(
            "cannot keep the snapshot of the configuration, it ages", "keeping the snapshot of the configuration again"
        )
        stopped = False
        while not stopped:
            stopped = self._stopping.wait(UPDATE_SECONDS)
            self._drain_queue()
            try:
                self._update()
            except Unavailable:
                # The snapshot stays as it is, and may now be needed. The watcher logs that the server is unreachable.
                pass
            except Exception as error:
                outage.failed(error, path=str(self._path))
                if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
                    for part in (self._path, Path(f"{self._path}-journal")):
                        part.unlink(missing_ok=True)
            else:
                outage.succeeded()
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
                # Nothing to write, so take no lock for which another process would have to wait.
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
        encoded, committed = cast("list[bytes | None]", self._client.mget(keys.HEAD, keys.HEAD_COMMITTED))
        return None if encoded is None else Head.decode(encoded, committed)

    def _apply_changes(self, connection: sqlite3.Connection, head: Head) -> None:
        """Bring every record in the file to the version `head`."""
        state = _read_state(connection)
        if _is_confirmed(state, head):
            return
        if state is None or state.head.store_id != head.store_id:
            connection.execute("DELETE FROM records")
        elif state.head != head:
            changed = self._changed_keys(state.head, head)
            self._refresh(connection, _all_keys(connection) if changed is None else changed)
        row = (head.store_id, head.version, head.committed_ms, now_ms())
        connection.execute(
            "INSERT OR REPLACE INTO state (one, store_id, version, committed_ms, confirmed_ms) VALUES (1, ?, ?, ?, ?)",
            row,
        )

    def _changed_keys(self, old: Head, new: Head) -> list[str] | None:
        """Return the keys that changed after `old` up to `new`; None if the stream no longer holds all changes, or if
        `new` does not follow from `old`, because the store was restored from a backup."""
        if not 0 < new.version - old.version < keys.CHANGES_LENGTH:
            return None
        count = new.version - old.version + 1
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self._client.xrevrange(keys.CHANGES, count=count))
        changes = [(int(fields[b"v"]), int(fields.get(b"ms", 0))) for _, fields in reversed(entries)]
        # The entry of `old` itself comes first, so that a discarded future shows.
        expected = range(old.version, new.version + 1)
        if [version for version, _ in changes] != [*expected] or changes[0][1] != old.committed_ms:
            return None
        return [key for _, fields in entries[:-1] for key in fields[b"keys"].decode().split()]

    def _refresh(self, connection: sqlite3.Connection, record_keys: list[str]) -> None:
        for page, values in self._read_pages(record_keys):
            deleted = [(key,) for key, value in zip(page, values, strict=True) if value is None]
            published = [(value, key, value) for key, value in zip(page, values, strict=True) if value is not None]
            connection.executemany("DELETE FROM records WHERE key = ?", deleted)
            connection.executemany("UPDATE records SET text = ? WHERE key = ? AND text <> ?", published)

    def _add_wanted(self, connection: sqlite3.Connection) -> None:
        is_known = "SELECT 1 FROM records WHERE key = ?"
        new = [key for key in self._wanted if connection.execute(is_known, (key,)).fetchone() is None]
        for page, values in self._read_pages(new):
            rows = [(key, value) for key, value in zip(page, values, strict=True) if value is not None]
            connection.executemany("INSERT OR IGNORE INTO records (key, text) VALUES (?, ?)", rows)
        if new:
            # Evict the oldest: if an edge still uses one, it is remembered again after the next start.
            oldest = "SELECT number FROM records ORDER BY number DESC LIMIT -1 OFFSET ?"
            connection.execute(f"DELETE FROM records WHERE number IN ({oldest})", (self._limit,))  # noqa: S608

    def _read_pages(self, record_keys: list[str]) -> Iterator[tuple[list[str], list[bytes | None]]]:
        for start in range(0, len(record_keys), PAGE_KEYS):
            page = record_keys[start : start + PAGE_KEYS]
            yield page, cast("list[bytes | None]", self._client.mget(page))
        # In a cache that was emptied in the meantime, a missing record does not mean a deleted one.
        if record_keys and self._read_head() is None:
            raise redis.RedisError("the cache is being refilled")


def _open_database(path: Path) -> sqlite3.Connection:
    # With a rollback journal instead of a WAL, because with a WAL a full disk would also prevent reading.
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
    connection.executescript(_SCHEMA)
    if len(connection.execute("PRAGMA table_info(state)").fetchall()) < 5:
        connection.execute(_ADD_COMMITTED)
    return connection


def _read_state(connection: sqlite3.Connection) -> SnapshotState | None:
    row = connection.execute("SELECT * FROM state").fetchone()
    if row is None:
        return None
    _, store_id, version, confirmed_ms, *committed_ms = row
    return SnapshotState(Head(store_id, version, *committed_ms), confirmed_ms)


def _is_confirmed(state: SnapshotState | None, head: Head) -> bool:
    """Return whether the file is a copy of this version and was confirmed as such within `CONFIRM_MS`."""
    return state is not None and state.head == head and now_ms() - state.confirmed_ms < CONFIRM_MS


def _all_keys(connection: sqlite3.Connection) -> list[str]:
    return [key for (key,) in connection.execute("SELECT key FROM records ORDER BY number")]
