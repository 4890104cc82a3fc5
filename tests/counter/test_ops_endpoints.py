"""What the counter answers on a port of its own: while it waits for its stores, counts, lags and drains."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from onebyone.counter import process
from onebyone.counter.ledger import Ledger
from onebyone.report_store import schema
from tests.counter.harness import Harness
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


class Port:
    """A running counter and a client of its port."""

    def __init__(self, client: httpx.AsyncClient, stopping: asyncio.Event) -> None:
        self.client = client
        self.stopping = stopping

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """Return status and JSON."""
        answer = await self.client.get(path)
        return answer.status_code, answer.json()

    async def status(self, path: str) -> int:
        """Return the status."""
        return (await self.client.get(path)).status_code


@contextlib.asynccontextmanager
async def serving(harness: Harness) -> AsyncIterator[Port]:
    """Run a counter with a port."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopping = asyncio.Event()
    running = asyncio.create_task(process.run_counter(harness.settings, stopping, lambda: None, listener))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=url) as client:
        port = Port(client, stopping)
        try:
            yield port
        finally:
            stopping.set()
            await client.aclose()
            await running


async def ready(port: Port) -> bool:
    """Return whether the counter is ready."""
    return await port.status("/readyz") == 200


async def test_a_counter_that_counts_is_ready_and_healthy(each_harness: Harness) -> None:
    each_harness.settings.shards = 2
    async with serving(each_harness) as port:
        await eventually(lambda: ready(port), "ready")
        checks = {"report_store": True, "stream_server": True, "running": True}
        assert await port.get("/readyz") == (200, {"ready": True, "checks": checks, "healthy": True, "problems": {}})
        status, sink = await port.get("/sinkz")
        assert (status, sink["healthy"], sink["shards"], sink["uncounted_batches"]) == (200, True, [0, 1], 0)
        assert (await port.client.get("/livez")).text == "alive\n"
        page = (await port.client.get("/metrics")).text
        assert "onebyone_counter_shards 2.0" in page
        assert (await port.status("/")) == 404


async def test_it_answers_before_its_stores_do(each_harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_: str) -> None:
        raise OSError("no store")

    monkeypatch.setattr(schema, "upgrade", away)
    async with serving(each_harness) as port:
        await eventually(lambda: answers(port), "the port answers")
        status, body = await port.get("/readyz")
        assert (status, body["ready"], body["healthy"]) == (503, False, False)
        assert body["problems"]["report_store"] == "does not answer"
        assert await port.status("/livez") == 200


async def answers(port: Port) -> bool:
    """Return whether somebody listens."""
    try:
        return await port.status("/livez") == 200
    except httpx.TransportError:
        return False


async def test_it_says_that_it_lags(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise OSError("no store")

    harness.settings.uncounted_seconds = 0.3
    monkeypatch.setattr("onebyone.counter.shard.DRAIN_SECONDS", 0.0)
    monkeypatch.setattr(Ledger, "commit", refuse)
    async with serving(harness) as port:
        await eventually(lambda: ready(port), "ready")
        harness.send(1)

        async def red() -> bool:
            return await port.status("/sinkz") == 503

        await eventually(red, "the sink is red")
        _, sink = await port.get("/sinkz")
        assert sink["oldest_uncounted_seconds"] > 0.3
        assert "more than 0.3 s: the counter does not run, hangs or lags" in sink["problems"]["counter"]
        status, body = await port.get("/readyz")
        assert (status, body["healthy"]) == (200, False)


@pytest.mark.parametrize("path", ["/sinkz", "/metrics"])
async def test_only_operators_read_its_state(harness: Harness, path: str) -> None:
    async with serving(harness) as port:
        await eventually(lambda: ready(port), "ready")
        answer = await port.client.get(path, headers={"host": "evil.example"})
        assert answer.status_code == 403
