"""Publishes committed changes to the cache server in the order of their versions, and repairs the cache server.

The cache is current when HEAD names this store, its version and when that was committed. Each pass compares the two and
does one of three things: nothing; publish the outbox rows after HEAD; or, when HEAD is lost or names a change that this
store does not know (it is another store, or was restored from a backup), rebuild the cache from the store. Records,
change entries and HEAD are written in one MULTI under a WATCH of HEAD, so that a slow publisher can never overwrite a
newer record with an older one.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from itertools import takewhile
from typing import NamedTuple, cast

import redis.asyncio
from redis.exceptions import WatchError
from sqlalchemy import delete, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.clock import DAY_MS, now_ms
from onebyone.config_store import tables
from onebyone.config_store.store_head import read_store_head
from onebyone.contracts import keys
from onebyone.contracts.configuration import Head
from onebyone.publishing import metrics, records
from onebyone.publishing.cache_rebuild import rebuild_cache
from onebyone.runtime import sql
from onebyone.runtime.outage import Outage
from onebyone.runtime.redis_client import Unavailable

POLL_SECONDS = 0.25
"""How often to look for changes of other API processes and for losses of the cache: well within the second in which
an edge promises to answer by a change."""
OUTBOX_ROWS_PER_PASS = 50
"""A row holds up to 1000 keys: 50 rows bound a transaction to some 20 MB of records."""
FINISH_SECONDS = 2.0
"""How long a stopping process tries to publish what is committed; another process, or the next start, does the rest."""
OUTBOX_RETENTION_MS = DAY_MS
"""A HEAD older than a day (a restored cache server, say) costs a rebuild instead of a longer outbox for everybody."""
PRUNE_SECONDS = 3600
"""How often to delete old outbox rows; an hour of them is little compared with the day that is kept."""
PRUNED_ROWS = 500
"""Outbox rows that one pass deletes: a few milliseconds during which a SQLite store has no other writer."""


class _Change(NamedTuple):
    """A row of the outbox."""

    version: int
    created_ms: int
    keys: str
    """The Redis keys of the changed records, separated by blanks."""


class ConfigPublisher:
    """Publishes from one process; any number of processes may publish at the same time."""

    def __init__(self, store: AsyncEngine, cache: redis.asyncio.Redis) -> None:
        self._store = store
        self._cache = cache
        self._woken = asyncio.Event()
        self._pruned_at = float("-inf")
        expected = (*Unavailable, SQLAlchemyError)
        self._outage = Outage("configuration is not published", "configuration is published again", expected=expected)
        self._stopping = False
        self.published = asyncio.Event()
        """Set when the cache has first held all that the store had. It stays set when the cache server is lost later,
        because that is no reason to refuse callers of the API."""

    def wake(self) -> None:
        """Start the next pass immediately, because a change was committed."""
        self._woken.set()

    async def run(self) -> None:
        """Publish until `finish`; retry while the cache server or the store is unreachable."""
        while not self._stopping:
            self._woken.clear()
            try:
                more = await self.run_pass()
            except Exception as error:
                # Any error: an API that stopped publishing would go on confirming changes that no edge ever sees.
                metrics.PUBLISH_FAILURES.inc()
                self._outage.failed(error)
                more = False
            else:
                self._outage.succeeded()
            if not more and not self._stopping:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._woken.wait()

    async def finish(self, running: asyncio.Task[None]) -> None:
        """Publish what is committed and end `run`; give up after `FINISH_SECONDS` without an answer."""
        with suppress(TimeoutError, *Unavailable, SQLAlchemyError):
            async with asyncio.timeout(FINISH_SECONDS):
                while await self.run_pass():
                    pass
        self._stopping = True
        self.wake()
        await asyncio.wait({running}, timeout=FINISH_SECONDS)
        running.cancel()

    async def run_pass(self) -> bool:
        """Compare HEAD with the store and act on the difference; return whether another pass should follow now."""
        async with self._cache.pipeline() as transaction:
            await transaction.watch(keys.HEAD)
            values = cast("list[bytes | None]", await transaction.mget(keys.HEAD, keys.HEAD_COMMITTED))
            head = _decode_head(*values)
            store_head, rows = await self._outbox_rows_after(head)
            if head is not None and head == store_head:
                self._note_published(store_head)
                await self._prune_outbox()
                return False
            if head is not None and rows:
                return await self._publish_rows(transaction, store_head, rows)
        return await rebuild_cache(self._store, self._cache)

    async def _outbox_rows_after(self, head: Head | None) -> tuple[Head, list[_Change]]:
        """Return the store's head and the changes that follow `head` without a gap; without any: rebuild."""
        outbox = tables.outbox
        async with sql.reading(self._store) as connection:
            store_head = await read_store_head(connection)
            if head is None or head.store_id != store_head.store_id or head.version >= store_head.version:
                return store_head, []
            columns = select(outbox.c.version, outbox.c.created_ms, outbox.c["keys"])
            query = columns.where(outbox.c.version >= head.version)
            query = query.order_by(outbox.c.version).limit(1 + OUTBOX_ROWS_PER_PASS)
            rows = [_Change(*row) for row in await connection.execute(query)]
        first = rows.pop(0) if head.version else _Change(0, head.committed_ms, "")
        if (first.version, first.created_ms) != (head.version, head.committed_ms):
            # Pruned, or the cache holds a change that this store does not have: it was restored from a backup.
            return store_head, []
        numbered = enumerate(rows, start=head.version + 1)
        return store_head, [change for _, change in takewhile(lambda pair: pair[1].version == pair[0], numbered)]

    async def _publish_rows(
        self, transaction: redis.asyncio.client.Pipeline, store_head: Head, changes: list[_Change]
    ) -> bool:
        changed_keys = {key for change in changes for key in change.keys.split()}
        async with sql.reading(self._store) as connection:
            changed = await records.load_records(connection, changed_keys)
        transaction.multi()  # type: ignore[no-untyped-call]
        for key, record in changed.items():
            if record is None:
                transaction.delete(key)
            else:
                transaction.set(key, record)
        for change in changes:
            entry = {"v": change.version, "ms": change.created_ms, "keys": change.keys}
            transaction.xadd(keys.CHANGES, entry, maxlen=keys.CHANGES_LENGTH, approximate=True)  # type: ignore[arg-type]
        head = Head(store_head.store_id, changes[-1].version, changes[-1].created_ms)
        transaction.mset(head.values())
        try:
            await transaction.execute()
        except WatchError:
            return True
        metrics.PUBLISHED_RECORDS.inc(len(changed))
        if head.version < store_head.version:
            return True
        self._note_published(head)
        return False

    def _note_published(self, head: Head) -> None:
        metrics.PUBLISHED_VERSION.set(head.version)
        self.published.set()

    async def _prune_outbox(self) -> None:
        if time.monotonic() - self._pruned_at < PRUNE_SECONDS:
            return
        outbox = tables.outbox
        # Versions are committed in their order, so all up to an old one are old, whatever the clocks of their processes
        # showed. The last stays: it tells when the store's version was committed.
        last_old = select(func.max(outbox.c.version)).where(outbox.c.created_ms < now_ms() - OUTBOX_RETENTION_MS)
        async with sql.reading(self._store) as connection:
            last = await connection.scalar(select(func.max(outbox.c.version)))
            limit = await connection.scalar(last_old)
            old = outbox.c.version <= (limit or 0), outbox.c.version < (last or 0)
            query = select(outbox.c.version).where(*old).order_by(outbox.c.version).limit(PRUNED_ROWS)
            versions = (await connection.execute(query)).scalars().all()
        if versions:
            async with sql.writing(self._store) as connection:
                await connection.execute(delete(outbox).where(outbox.c.version <= versions[-1]))
        if len(versions) < PRUNED_ROWS:
            self._pruned_at = time.monotonic()


def _decode_head(value: bytes | None, committed: bytes | None) -> Head | None:
    try:
        return None if value is None else Head.decode(value, committed)
    except ValueError:
        return None
