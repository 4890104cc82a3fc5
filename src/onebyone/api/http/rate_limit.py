"""Limits the reads and writes that a user may make in a minute.

The counts are in the cache server, which all API processes share: one round trip a request, where a row in SQL would
be a write for every read. While the cache server is unreachable each process counts alone.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

import redis.asyncio

from onebyone.contracts import keys
from onebyone.errors import TooManyRequests
from onebyone.runtime.redis_client import Unavailable
from onebyone.settings import Settings

WINDOW_SECONDS = 60
"""The documented window; clients wait for its end."""
PATIENCE_SECONDS = 0.25
"""How long a request waits for the cache server before this process counts alone: unnoticed by a person."""
RETRY_SECONDS = 5.0
"""How long to leave a cache server alone that did not answer: otherwise every request would wait for it."""


@dataclass(slots=True)
class Usage:
    """Requests of one user in one window, and their limits."""

    reads: int = 0
    writes: int = 0
    read_limit: int = 0
    write_limit: int = 0


class RateLimiter:
    """Counts requests by user, in fixed windows of a minute."""

    def __init__(self, settings: Settings, cache: redis.asyncio.Redis | None) -> None:
        self.blank = Usage(read_limit=settings.reads_a_minute, write_limit=settings.writes_a_minute)
        self._cache = cache
        self._retry_at = 0.0
        self._window = -1
        self._users: dict[int, Usage] = {}

    async def count(self, user_id: int, *, write: bool, now_ms: int) -> Usage:
        """Count one request and return the user's usage, this request included."""
        window = now_ms // (WINDOW_SECONDS * 1000)
        if window != self._window:
            self._window = window
            self._users = {}
        own = self._users.setdefault(user_id, replace(self.blank))
        if write:
            own.writes += 1
        else:
            own.reads += 1
        shared = await self._shared(user_id, window, write=write)
        if shared is not None:
            own.reads, own.writes = max(own.reads, shared[0]), max(own.writes, shared[1])
        return own

    async def _shared(self, user_id: int, window: int, *, write: bool) -> tuple[int, int] | None:
        if self._cache is None or time.monotonic() < self._retry_at:
            return None
        asking = asyncio.create_task(
            _count_in_cache(self._cache, keys.usage_key(user_id, window), "writes" if write else "reads")
        )
        # The task ends by its own time-out and is never cancelled: redis-py can lose a cancellation that meets a reply.
        await asyncio.wait({asking}, timeout=PATIENCE_SECONDS)
        counts = asking.result() if asking.done() else None
        if counts is None:
            self._retry_at = time.monotonic() + RETRY_SECONDS
        return counts


async def _count_in_cache(cache: redis.asyncio.Redis, name: str, field: str) -> tuple[int, int] | None:
    """Count one more in a hash; return its reads and writes, None when the server does not answer."""
    try:
        async with cache.pipeline(transaction=False) as batch:
            batch.hincrby(name, field, 1)
            batch.hmget(name, ["reads", "writes"])
            batch.expire(name, 2 * WINDOW_SECONDS)
            _, (reads, writes), _ = await batch.execute()
    except Unavailable:
        return None
    return int(reads or 0), int(writes or 0)


def require_room(usage: Usage, user_id: int, *, write: bool, now_ms: int) -> None:
    """Raise `TooManyRequests` when the user has made more requests than a minute allows."""
    made, limit = (usage.writes, usage.write_limit) if write else (usage.reads, usage.read_limit)
    if made > limit:
        what = "writes" if write else "reads"
        wait = WINDOW_SECONDS - now_ms // 1000 % WINDOW_SECONDS
        text = f"{what} limit exceeded: {limit} in {WINDOW_SECONDS} seconds"
        raise TooManyRequests(text, retry_after=wait, made=made, user_id=user_id)
