"""What the operator asks the edge: may it get traffic, is it alive, does the stream take events; else 404."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from onebyone.edge.journal.backlog import Backlog
from onebyone.edge.tags import client
from onebyone.runtime import metrics_page
from onebyone.settings import Settings

SINK_SECONDS = 10.0
"""`/sinkz` is red when an unshipped batch is older."""

_NO_STORE = {"cache-control": "no-store"}


@dataclass(frozen=True, slots=True)
class Health:
    """How one process is."""

    checks: dict[str, bool]
    """What must hold before it may get traffic."""
    recording: bool
    """Whether its journal takes events."""
    configuration_seconds: float | None
    """Since the cache server last said that what it answers by is current; None: it has nothing to answer by."""


def create_ops_app(settings: Settings, health: Callable[[], Health], backlog: Callable[[], Backlog]) -> Starlette:
    """`/readyz`, `/livez`, `/sinkz` and `/metrics`; `backlog` is what this process still has to ship."""

    async def readyz(_: Request) -> Response:
        state = health()
        ready = all(state.checks.values())
        about = {"ready": ready, "checks": state.checks, "configuration_seconds": state.configuration_seconds}
        return Response(
            orjson.dumps(about),
            status_code=200 if ready else 503,
            media_type="application/json",
            headers=_NO_STORE,
        )

    async def livez(_: Request) -> Response:
        return PlainTextResponse("alive\n", headers=_NO_STORE)

    def refuse_stranger(request: Request) -> Response | None:
        peer = request.client.host if request.client else ""
        address = client.client_address(peer, request.headers.raw, settings.proxy_networks)
        if client.in_networks(address, settings.metrics_networks):
            return None
        return PlainTextResponse("not for this address\n", status_code=403)

    async def sinkz(request: Request) -> Response:
        return refuse_stranger(request) or _sink_response(backlog(), health().recording)

    async def metrics(request: Request) -> Response:
        return refuse_stranger(request) or Response(metrics_page.page(), media_type=metrics_page.CONTENT_TYPE)

    paths = {"/readyz": readyz, "/livez": livez, "/sinkz": sinkz, "/metrics": metrics}
    return Starlette(routes=[Route(path, endpoint) for path, endpoint in paths.items()])


def _sink_response(backlog: Backlog, recording: bool) -> Response:
    healthy = recording and backlog.stream_accepting and backlog.oldest_ms <= SINK_SECONDS * 1000
    about = {
        "healthy": healthy,
        "process": os.getpid(),
        "journal_takes_events": recording,
        "stream_takes_events": backlog.stream_accepting,
        "unshipped_batches": backlog.batches,
        "oldest_unshipped_seconds": backlog.oldest_ms / 1000,
        "uncounted_batches": backlog.uncounted,
        "oldest_uncounted_seconds": backlog.uncounted_ms / 1000,
        "journals": backlog.journals,
        "journal_bytes": backlog.journal_bytes,
    }
    status = 200 if healthy else 503
    return Response(orjson.dumps(about), status, _NO_STORE, media_type="application/json")
