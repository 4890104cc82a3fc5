"""The API on a real port, served by uvicorn in a thread of this process, without a cache server."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from onebyone.api import ops_endpoints
from onebyone.api.app import Api
from onebyone.api.pipeline_lag import PipelineLagMeter
from onebyone.report_store import schema as report_schema
from onebyone.resources.context import EngineContext
from onebyone.runtime import sql
from onebyone.runtime.bounded_protocol import BoundedProtocol
from tests.support import api_harness
from tests.support.waiting import wait_until

UNLIMITED = {"reads_a_minute": 10**9, "writes_a_minute": 10**9, "logins": 10**9}


@contextlib.contextmanager
def running_api(folder: Path, **more: int) -> Iterator[str]:
    """Yield its URL. It has stores in `folder`, the user `admin`, and no limits but those in `more`."""
    store_url, report_url = (f"sqlite+aiosqlite:///{folder / name}.sqlite3" for name in ("config", "report"))
    settings = api_harness.settings(store_url).model_copy(update={"data_dir": folder})
    settings = settings.model_copy(update=UNLIMITED | more)
    server: uvicorn.Server | None = None

    async def serve() -> None:
        nonlocal server
        await api_harness.prepare(store_url)
        await report_schema.upgrade(report_url)
        store, report_store = sql.create_engine(store_url), sql.create_engine(report_url)
        context = EngineContext(settings, store, report_store, api_harness.Wakes())
        sink = PipelineLagMeter(settings, report_store)
        app = Api(context, ops_endpoints.create_ops_app(settings, lambda: {"configuration": True}, sink.measure))
        config = uvicorn.Config(
            app, port=0, http=BoundedProtocol, lifespan="off", log_config=None, timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        await server.serve()
        for engine in (store, report_store):
            await engine.dispose()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    wait_until(lambda: server is not None and server.started, "the API listens")
    assert server is not None
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
