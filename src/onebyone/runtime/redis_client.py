"""Redis clients that never repeat a command on their own.

redis-py retries ten times by default, which turns one timed-out XADD into two entries; here a time-out is an error
that the caller sees, and whoever repeats a write must be safe to repeat it.
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
REPLY_SECONDS = 5.0
CONNECTIONS = 32

Unavailable = (redis.RedisError, OSError, RuntimeError)
"""What a caller catches when the server is away, slow, full or refuses. RuntimeError is uvloop's word for a connection
that the kernel has just given up."""


def connect(url: str, *, reply_seconds: float = REPLY_SECONDS, connections: int = CONNECTIONS) -> redis.asyncio.Redis:
    """An asyncio client for `url` (`redis://`, `rediss://`, `unix://`); replies are bytes.

    A burst waits for one of its connections; redis-py's own default raises at the hundred and first.
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
    """The same for a thread. `connected` is called at each new connection, also at one that redis-py makes silently."""

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
    """Runs the commands, all or none, in one round trip, and gives their raw replies.

    A pipeline of redis-py does the same and costs twice as much CPU. Raises what redis-py raises; the connection is
    then closed, because replies may still be on their way.
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
