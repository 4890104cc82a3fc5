"""Redis clients that never repeat a command on their own.

redis-py retries ten times by default, which turns one timed-out XADD into two entries; here a time-out is an error
that the caller sees, and whoever repeats a write must be safe to repeat it.
"""

from __future__ import annotations

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

CONNECT_SECONDS = 2.0
REPLY_SECONDS = 5.0

Unavailable = (redis.RedisError, OSError)
"""What a caller catches when the server is away, slow, full or refuses."""


def connect(url: str, *, reply_seconds: float = REPLY_SECONDS) -> redis.asyncio.Redis:
    """An asyncio client for `url` (`redis://`, `rediss://`, `unix://`); replies are bytes."""
    return redis.asyncio.Redis.from_url(
        url,
        retry=AsyncRetry(NoBackoff(), 0),
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=reply_seconds,
        protocol=2,
    )


def connect_blocking(url: str, *, reply_seconds: float = REPLY_SECONDS) -> redis.Redis:
    """The same for a thread."""
    return redis.Redis.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=reply_seconds,
        protocol=2,
    )
