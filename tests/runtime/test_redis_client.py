"""Redis transactions in one write, and what callers see of a server that goes away."""

from __future__ import annotations

import pytest
import redis
import uvloop

from onebyone.runtime import redis_client
from tests.support.valkey import ValkeyProcess


def test_a_transaction_returns_the_replies_in_order(shared_valkey: ValkeyProcess) -> None:
    client = redis_client.connect_blocking(shared_valkey.url)
    commands = [("SET", "a", 1), ("GET", "a"), ("XADD", "s", "5-0", "z", b"\x00\xff")]
    assert redis_client.transaction(client, commands) == [b"OK", b"1", b"5-0"]
    client.close()


def test_a_refused_transaction_writes_nothing_and_the_client_stays_usable(shared_valkey: ValkeyProcess) -> None:
    connections: list[int] = []
    client = redis_client.connect_blocking(shared_valkey.url, connected=lambda: connections.append(1))
    with pytest.raises(redis.ResponseError):
        redis_client.transaction(client, [("SET", "a", 1), ("SET", "a"), ("SET", "b", 1)])
    assert redis_client.transaction(client, [("EXISTS", "a", "b")]) == [0]
    assert len(connections) == 2
    client.close()


def test_a_connection_that_the_kernel_dropped_reads_as_unavailable(shared_valkey: ValkeyProcess) -> None:
    async def ask() -> str:
        client = redis_client.connect(shared_valkey.url)
        connection = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]
        await client.connection_pool.release(connection)
        connection._writer.transport.abort()
        try:
            await client.get("key")
        except redis_client.Unavailable as error:
            return f"{error!r:.12}"
        finally:
            await client.aclose()
        return "answered"

    assert uvloop.run(ask()) == "RuntimeError"
