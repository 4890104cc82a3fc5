"""Publishes committed changes to the cache server, in the order of their versions, and repairs it.

The cache is right when HEAD names this store and its version. Each pass compares and does one of three things:
nothing; publish the outbox rows behind HEAD; or, when HEAD is lost, foreign or ahead of the store, write everything
again. Records, change entries and HEAD move in one MULTI under a WATCH of HEAD, so that a slow publisher can never
put an old record over a newer one.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import suppress
from itertools import takewhile

import redis.asyncio
import structlog
from redis.exceptions import WatchError
from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.api import metrics
from onebyone.clock import now_ms
from onebyone.config_store import tables
from onebyone.contracts import keys
from onebyone.contracts.configuration import Head
from onebyone.publishing import records
from onebyone.runtime import sql
from onebyone.runtime.outage import Outage
from onebyone.runtime.redis_client import Unavailable

POLL_SECONDS = 0.25
"""How soon a change of another API process, or a loss in the cache, is seen."""
ROWS_A_PASS = 50
FINISH_SECONDS = 2.0
LOCK_MS = 30_000
OUTBOX_KEPT_MS = 24 * 3_600_000
PRUNE_SECONDS = 3600

_log = structlog.get_logger()


class ConfigPublisher:
    """The one writer of the cache in this process; several processes may publish side by side."""

    def __init__(self, store: AsyncEngine, cache: redis.asyncio.Redis) -> None:
        self._store = store
        self._cache = cache
        self._woken = asyncio.Event()
        self._pruned = float("-inf")
        expected = (*Unavailable, SQLAlchemyError)
        self._outage = Outage("configuration is not published", "configuration is published again", expected=expected)
        self._stopping = False
        self.published = asyncio.Event()
        """Set once the cache held all that the store had; losing the server later is no reason to refuse callers."""

    def wake(self) -> None:
        """Says that a change was committed and should be published now."""
        self._woken.set()

    async def run(self) -> None:
        """Publishes until `finish`; an unreachable cache or store is tried again."""
        while not self._stopping:
            self._woken.clear()
            try:
                again = await self.pass_once()
            except Exception as error:
                # Whatever it was: an API that stopped publishing would go on saying OK to changes that nobody sees.
                metrics.PUBLISH_FAILURES.inc()
                self._outage.failed(error)
                again = False
            else:
                self._outage.over()
            if not again and not self._stopping:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._woken.wait()

    async def finish(self, running: asyncio.Task[None]) -> None:
        """Publishes what is committed and ends `run`; gives up on a server that does not answer."""
        with suppress(TimeoutError, *Unavailable, SQLAlchemyError):
            async with asyncio.timeout(FINISH_SECONDS):
                while await self.pass_once():
                    pass
        self._stopping = True
        self.wake()
        await asyncio.wait({running}, timeout=FINISH_SECONDS)
        running.cancel()

    async def pass_once(self) -> bool:
        """One comparison and what follows from it; True when there may be more to do at once."""
        async with self._cache.pipeline() as transaction:
            await transaction.watch(keys.HEAD)
            found = await transaction.get(keys.HEAD)
            head = None if found is None else _decode(found)
            target, rows = await self._behind(head)
            if head is not None and head == target:
                self._arrived(target)
                await self._prune()
                return False
            if head is not None and rows:
                return await self._publish(transaction, target, rows)
        return await self._rebuild()

    async def _behind(self, head: Head | None) -> tuple[Head, list[tuple[int, str]]]:
        """The store's own head, and the outbox rows that follow `head` without a gap; none: write everything."""
        state, outbox = tables.store_state, tables.outbox
        async with sql.reading(self._store) as connection:
            store_id, version = (await connection.execute(select(state.c.store_id, state.c.version))).one()
            target = Head(store_id, version)
            if head is None or head.store_id != store_id or head.version >= version:
                return target, []
            found = select(outbox.c.version, outbox.c["keys"]).where(outbox.c.version > head.version)
            rows = (await connection.execute(found.order_by(outbox.c.version).limit(ROWS_A_PASS))).all()
        numbered = enumerate(rows, start=head.version + 1)
        return target, [
            (row.version, row[1]) for _, row in takewhile(lambda pair: pair[1].version == pair[0], numbered)
        ]

    async def _publish(
        self, transaction: redis.asyncio.client.Pipeline, target: Head, rows: list[tuple[int, str]]
    ) -> bool:
        names = {name for _, text in rows for name in text.split()}
        async with sql.reading(self._store) as connection:
            current = await records.current(connection, names)
        transaction.multi()  # type: ignore[no-untyped-call]
        for name, record in current.items():
            if record is None:
                transaction.delete(name)
            else:
                transaction.set(name, record)
        for version, text in rows:
            entry = {"v": version, "keys": text}
            transaction.xadd(keys.CHANGES, entry, maxlen=keys.CHANGES_LENGTH, approximate=True)  # type: ignore[arg-type]
        head = Head(target.store_id, rows[-1][0])
        transaction.set(keys.HEAD, head.encode())
        try:
            await transaction.execute()
        except WatchError:
            return True
        metrics.PUBLISHED_RECORDS.inc(len(current))
        if head.version < target.version:
            return True
        self._arrived(head)
        return False

    async def _rebuild(self) -> bool:
        """Writes every record again; one process at a time, the others wait for its HEAD."""
        token = secrets.token_hex(8).encode()
        if not await self._cache.set(keys.REBUILD_LOCK, token, nx=True, px=LOCK_MS):
            return False
        started = time.monotonic()
        try:
            await self._cache.delete(keys.HEAD)
            async with sql.reading(self._store) as connection:
                state = tables.store_state
                store_id, version = (await connection.execute(select(state.c.store_id, state.c.version))).one()
                head = Head(store_id, version)
                await self._clear()
                async for chunk in records.everything(connection):
                    await self._cache.mset({name: record for name, record in chunk.items() if record is not None})
                    await self._cache.pexpire(keys.REBUILD_LOCK, LOCK_MS)
            async with self._cache.pipeline() as transaction:
                await transaction.watch(keys.REBUILD_LOCK)
                if await transaction.get(keys.REBUILD_LOCK) != token:
                    return True
                transaction.multi()  # type: ignore[no-untyped-call]
                transaction.set(keys.HEAD, head.encode())
                transaction.delete(keys.REBUILD_LOCK)
                await transaction.execute()
        except WatchError:
            return True
        metrics.REBUILDS.inc()
        _log.info("configuration cache written anew", version=version, seconds=round(time.monotonic() - started, 3))
        return True

    async def _clear(self) -> None:
        """Removes the records of another store or time."""
        for prefix in (keys.TRACKER_PREFIX, keys.MEMBER_PREFIX):
            found: list[bytes] = []
            async for name in self._cache.scan_iter(match=f"{prefix}*", count=1000):
                found.append(name)
                if len(found) == records.CHUNK:
                    await self._cache.delete(*found)
                    found.clear()
            if found:
                await self._cache.delete(*found)

    def _arrived(self, head: Head) -> None:
        metrics.PUBLISHED_VERSION.set(head.version)
        self.published.set()

    async def _prune(self) -> None:
        if time.monotonic() - self._pruned < PRUNE_SECONDS:
            return
        self._pruned = time.monotonic()
        async with sql.writing(self._store) as connection:
            old = tables.outbox.c.created_ms < now_ms() - OUTBOX_KEPT_MS
            await connection.execute(delete(tables.outbox).where(old))


def _decode(text: bytes | str) -> Head | None:
    try:
        return Head.decode(text if isinstance(text, bytes) else text.encode())
    except ValueError:
        return None
