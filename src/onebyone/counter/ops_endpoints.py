"""The endpoints of the counter for its operators: readiness, liveness, its lag, and metrics; all else is a 404."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from onebyone.counter.health import CounterHealth
from onebyone.runtime import metrics_page, web_server
from onebyone.runtime.operator_access import OperatorAccess
from onebyone.settings import Settings

_NO_STORE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def create_ops_app(settings: Settings, measure: Callable[[], CounterHealth]) -> Starlette:
    """Return the application for `/readyz`, `/livez`, `/sinkz` and `/metrics`.

    `/sinkz` and `/metrics` are for operators (`OperatorAccess`).
    """
    access = OperatorAccess(settings)

    async def readyz(_: Request) -> Response:
        health = measure()
        ready = all(health.checks.values())
        body = {"ready": ready, "checks": health.checks, "healthy": not health.problems, "problems": health.problems}
        return Response(orjson.dumps(body), 200 if ready else 503, _NO_STORE, media_type="application/json")

    async def livez(_: Request) -> Response:
        return PlainTextResponse("alive\n", headers=_NO_STORE)

    async def sinkz(request: Request) -> Response:
        if (refused := access.refuse(request)) is not None:
            return refused
        health = measure()
        body = {
            "healthy": not health.problems,
            "problems": health.problems,
            "process": os.getpid(),
            "shards": health.shards,
            "uncounted_batches": health.behind_batches,
            "oldest_uncounted_seconds": health.oldest_uncounted_seconds,
            "waiting_producers": health.waiting_producers,
        }
        status = 503 if health.problems else 200
        return Response(orjson.dumps(body), status, _NO_STORE, media_type="application/json")

    async def metrics(request: Request) -> Response:
        if (refused := access.refuse(request)) is not None:
            return refused
        return Response(metrics_page.render_metrics(), headers=_NO_STORE, media_type=metrics_page.CONTENT_TYPE)

    paths = {"/readyz": readyz, "/livez": livez, "/sinkz": sinkz, "/metrics": metrics}
    return Starlette(routes=[Route(path, endpoint) for path, endpoint in paths.items()])


@asynccontextmanager
async def serving(app: Starlette, listener: socket.socket | None) -> AsyncIterator[None]:
    """Answer on `listener` during the block, also while the counter drains; without one, do nothing."""
    if listener is None:
        yield
        return
    done = asyncio.Event()
    running = asyncio.create_task(web_server.serve(app, listener, done, lambda: 0.0, lambda: None))
    try:
        yield
    finally:
        done.set()
        await running
