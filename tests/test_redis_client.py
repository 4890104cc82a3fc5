"""What callers of the Redis clients see of a server that goes away."""

from __future__ import annotations

import uvloop

from onebyone import redis_client
from tests.support.valkey import ValkeyProcess


def test_a_connection_that_the_kernel_gave_up_reads_as_an_unavailable_server(shared_valkey: ValkeyProcess) -> None:
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
