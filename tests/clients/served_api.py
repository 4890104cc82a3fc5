"""The API on a real socket with a clock that tests move, so that no test waits a minute for a limit to expire."""

from __future__ import annotations

import asyncio
import socket
import threading
from dataclasses import replace
from pathlib import Path

import httpx
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from onebyone.api import ops_endpoints
from onebyone.api.app import Api
from onebyone.api.pipeline_lag import PipelineLagMeter
from tests.support import api_harness
from tests.support.waiting import wait_until

REQUESTS = 10
MINUTE_MS = 60_000


class Clock(api_harness.Clock):
    """Can stand still until the first response that refuses a request, so that no slow machine misses the moment."""

    stands_at: int | None = None

    def __call__(self) -> int:
        return super().__call__() if self.stands_at is None else self.stands_at

    def stand_before_next_minute(self) -> None:
        """Stop one second before the end of the next minute."""
        now = self()
        self.stands_at = now - now % MINUTE_MS + 2 * MINUTE_MS - 1000

    def go_on(self) -> None:
        """Run again from where the clock stopped."""
        if self.stands_at is not None:
            self.ahead_ms += self.stands_at - super().__call__()
            self.stands_at = None


class ServedApi:
    """An API with member 1 and its user `admin`, who may make `REQUESTS` reads and as many writes in a minute."""

    password = api_harness.PASSWORD

    def __init__(self, store: Path) -> None:
        self.clock = Clock()
        self.answers: list[int] = []
        """HTTP status of every response since `use_up`."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(self._serve, interface="asgi3", lifespan="off", log_config=None))
        self._api: Api | None = None
        self._token = ""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(store, listener)), daemon=True)
        self._thread.start()
        wait_until(lambda: self._server.started, "the API listens")

    def use_up(self) -> None:
        """Make all requests of a minute that ends with the first request over the limit."""
        self.clock.stand_before_next_minute()
        with httpx.Client(base_url=self.url, headers={"Authorization": self._token}) as client:
            for _ in range(REQUESTS):
                client.get("/member")
                client.delete("/advertiser?id=0")
        assert set(self.answers[-2 * REQUESTS :]) == {200}
        self.answers.clear()

    def stop(self) -> None:
        """Stop the server and wait for its thread."""
        self._server.should_exit = True
        self._thread.join()

    async def _run(self, store: Path, listener: socket.socket) -> None:
        url = f"sqlite+aiosqlite:///{store}"
        await api_harness.prepare(url)
        plain = await api_harness.start(url)
        self._token = plain.token
        settings = plain.context.settings.model_copy(update={"reads_a_minute": REQUESTS, "writes_a_minute": REQUESTS})
        context = replace(plain.context, settings=settings, clock=self.clock)
        sink = PipelineLagMeter(settings, context.report_store)
        self._api = Api(context, ops_endpoints.create_ops_app(settings, dict, sink.measure))
        await self._server.serve(sockets=[listener])
        await plain.http.aclose()
        await plain.store.dispose()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def observe(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.answers.append(message["status"])
                if message["status"] == 429:
                    self.clock.go_on()
            await send(message)

        assert self._api is not None
        await self._api(scope, receive, observe)
