"""Endpoints for operators: readiness, liveness, delivery to the stream, and metrics; every other path is a 404."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from onebyone.clock import now_ms
from onebyone.contracts.lateness import late_words
from onebyone.edge.configuration.view import ConfigState
from onebyone.edge.journal.backlog import Backlog
from onebyone.runtime import metrics_page
from onebyone.runtime.operator_access import OperatorAccess
from onebyone.settings import Settings

SINK_SECONDS = 10.0
"""`/sinkz` reports unhealthy while an unshipped batch is older: longer than a restart of the stream server takes."""

_NO_STORE = {"cache-control": "no-store"}


@dataclass(frozen=True, slots=True)
class Health:
    """The health of one edge process."""

    checks: dict[str, bool]
    """What must hold before the process may get traffic, by name: `configuration`, `journal`, `running`."""
    problems: dict[str, str]
    """What is wrong, in words for a person: why a check does not hold, and what does not keep traffic away."""
    configuration: ConfigState
    clock_skew: float | None
    """Seconds by which the clock is ahead of what most clocks show; None: not known."""


def create_ops_app(settings: Settings, health: Callable[[], Health], backlog: Callable[[], Backlog]) -> Starlette:
    """Return the application for `/readyz`, `/livez`, `/sinkz` and `/metrics`.

    `health` and `backlog` return the present state of this process. `/sinkz` and `/metrics` are for operators
    (`OperatorAccess`).
    """
    access = OperatorAccess(settings)

    def late_problems(backlog: Backlog) -> dict[str, str]:
        # Not a check: an edge whose events nobody counts still records them.
        seconds, limit = backlog.uncounted_ms / 1000, settings.uncounted_seconds
        return {"counter": late_words(seconds, limit)} if seconds > limit else {}

    async def readyz(_: Request) -> Response:
        state = health()
        ready = all(state.checks.values())
        problems = state.problems | late_problems(backlog())
        return Response(
            orjson.dumps({"ready": ready, "healthy": ready and not problems, **_readiness(state, problems)}),
            status_code=200 if ready else 503,
            media_type="application/json",
            headers=_NO_STORE,
        )

    async def livez(_: Request) -> Response:
        return PlainTextResponse("alive\n", headers=_NO_STORE)

    async def sinkz(request: Request) -> Response:
        refused = access.refuse(request)
        return refused or _sink_response(backlog(), health().checks["journal"], late_problems(backlog()))

    async def metrics(request: Request) -> Response:
        return access.refuse(request) or Response(metrics_page.render_metrics(), media_type=metrics_page.CONTENT_TYPE)

    paths = {"/readyz": readyz, "/livez": livez, "/sinkz": sinkz, "/metrics": metrics}
    return Starlette(routes=[Route(path, endpoint) for path, endpoint in paths.items()])


def _readiness(state: Health, problems: dict[str, str]) -> dict[str, Any]:
    configuration = state.configuration
    reset = configuration.reset
    return {
        "checks": state.checks,
        "problems": problems,
        "configuration_seconds": configuration.age_seconds,
        "configuration_version": configuration.head.version if configuration.head else None,
        "configuration_store": configuration.head.store_id if configuration.head else None,
        "configuration_reset": None
        if reset is None
        else {
            "from_version": reset.known.version,
            "to_version": reset.head.version,
            "other_store": reset.known.store_id != reset.head.store_id,
            "seconds_ago": max(0.0, (now_ms() - reset.at_ms) / 1000),
        },
        "clock_skew_seconds": state.clock_skew,
    }


def _sink_response(backlog: Backlog, recording: bool, problems: dict[str, str]) -> Response:
    shipping = backlog.stream_accepting and backlog.oldest_ms <= SINK_SECONDS * 1000
    healthy = recording and shipping and not problems
    body = {
        "healthy": healthy,
        "problems": problems,
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
    return Response(orjson.dumps(body), status, _NO_STORE, media_type="application/json")
