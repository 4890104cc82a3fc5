"""Redis clients that never repeat a command by themselves.

redis-py retries ten times by default, which turns one timed-out XADD into two entries. Here a timeout is an error that
the caller handles, and only callers whose writes are idempotent repeat them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import hiredis
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

CONNECT_SECONDS = 2.0
"""A server on the same network accepts within milliseconds; one lost SYN is sent again after a second."""
REPLY_SECONDS = 5.0
"""Longer than a blocking read waits (`counter/shard.py`) and than a server pauses while it saves."""
CONNECTIONS = 32
"""Connections of one client: beyond that, requests queue here rather than in the server."""

Unavailable = (redis.RedisError, OSError, RuntimeError)
"""The errors of a server that is unreachable, slow, full or refusing. uvloop raises RuntimeError for a connection that
the kernel has just dropped."""


def connect(url: str, *, reply_seconds: float = REPLY_SECONDS, connections: int = CONNECTIONS) -> redis.asyncio.Redis:
    """Return an asyncio client for `url` (`redis://`, `rediss://`, `unix://`); replies are bytes.

    A burst waits for a free connection; redis-py's default raises at the hundred and first.
    """
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=reply_seconds,
        retry=AsyncRetry(NoBackoff(), 0),
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=reply_seconds,
        protocol=2,
    )
    return redis.asyncio.Redis.from_pool(pool)


def connect_blocking(
    url: str, *, reply_seconds: float = REPLY_SECONDS, connected: Callable[[], None] | None = None
) -> redis.Redis:
    """Return a blocking client. It calls `connected` for each new connection, also after a silent reconnect."""

    def on_connect(connection: Any) -> None:
        connection.on_connect()
        if connected is not None:
            connected()

    return redis.Redis.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=reply_seconds,
        protocol=2,
        redis_connect_func=on_connect,
    )


def transaction(client: redis.Redis, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Run the commands as one MULTI in one round trip; return their raw replies.

    A redis-py pipeline does the same at twice the CPU time. Raise what redis-py raises, after closing the connection,
    because replies may still be in transit.
    """
    packed = [hiredis.pack_command(command) for command in (("MULTI",), *commands, ("EXEC",))]
    connection: Any = client.connection_pool.get_connection()
    try:
        connection.send_packed_command([b"".join(packed)])
        for _ in packed[1:]:
            connection.read_response()
        replies: list[Any] = connection.read_response()
        return replies
    except BaseException:
        connection.disconnect()
        raise
    finally:
        client.connection_pool.release(connection)
