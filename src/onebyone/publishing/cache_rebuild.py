"""Rebuilds the cache server from the configuration store: deletes all records, writes them anew, and sets HEAD."""

from __future__ import annotations

import secrets
import time

import redis.asyncio
import structlog
from redis.exceptions import WatchError
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.config_store.store_head import read_store_head
from onebyone.contracts import keys
from onebyone.publishing import metrics, records
from onebyone.runtime import sql

REBUILD_LOCK_MS = 30_000
"""Each chunk renews the lock, so it expires only when its holder has died or hangs; then another process takes over."""

_log = structlog.get_logger()


async def rebuild_cache(store: AsyncEngine, cache: redis.asyncio.Redis) -> bool:
    """Write every record anew; return whether another pass should follow now.

    One process rebuilds at a time; the others wait for its HEAD.
    """
    token = secrets.token_hex(8).encode()
    if not await cache.set(keys.REBUILD_LOCK, token, nx=True, px=REBUILD_LOCK_MS):
        return False
    started = time.monotonic()
    try:
        await cache.delete(keys.HEAD)
        async with sql.reading(store) as connection:
            head = await read_store_head(connection)
            await _delete_all_records(cache)
            async for chunk in records.iterate_all_records(connection):
                await cache.mset({key: record for key, record in chunk.items() if record is not None})
                await cache.pexpire(keys.REBUILD_LOCK, REBUILD_LOCK_MS)
        async with cache.pipeline() as transaction:
            await transaction.watch(keys.REBUILD_LOCK)
            if await transaction.get(keys.REBUILD_LOCK) != token:
                return True
            transaction.multi()  # type: ignore[no-untyped-call]
            transaction.mset(head.values())
            transaction.delete(keys.REBUILD_LOCK)
            await transaction.execute()
    except WatchError:
        return True
    metrics.REBUILDS.inc()
    _log.info("configuration cache rebuilt", version=head.version, seconds=round(time.monotonic() - started, 3))
    return True


async def _delete_all_records(cache: redis.asyncio.Redis) -> None:
    """Delete all records: they may be another store's, or of rows that no longer exist."""
    for prefix in (keys.TRACKER_PREFIX, keys.MEMBER_PREFIX):
        chunk: list[bytes] = []
        async for key in cache.scan_iter(match=f"{prefix}*", count=1000):
            chunk.append(key)
            if len(chunk) == records.RECORDS_PER_CHUNK:
                await cache.delete(*chunk)
                chunk.clear()
        if chunk:
            await cache.delete(*chunk)
