"""The endpoints of the API for its operators: readiness, liveness, lag of the pipeline, metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from onebyone.api.pipeline_lag import PipelineLag
from onebyone.runtime import metrics_folder, metrics_page
from onebyone.runtime.operator_access import OperatorAccess
from onebyone.settings import Settings

_NO_STORE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def create_ops_app(
    settings: Settings,
    checks: Callable[[], dict[str, bool]],
    measure_lag: Callable[[], Awaitable[PipelineLag]],
    last_problems: Callable[[], dict[str, str]] = dict,
) -> Starlette:
    """Return an application with `/readyz`, `/livez`, `/sinkz` and `/metrics`.

    `checks` returns the conditions under which this process may get traffic, `last_problems` what was last found wrong
    with the pipeline, which is no reason to keep traffic away. `/sinkz` and `/metrics` are for operators
    (`OperatorAccess`). `/metrics` includes the metrics of a counter on the same data folder.
    """
    access = OperatorAccess(settings)

    async def readyz(_: Request) -> Response:
        results = checks()
        ready = all(results.values())
        problems = last_problems()
        healthy = ready and not problems
        body = orjson.dumps({"ready": ready, "checks": results, "healthy": healthy, "problems": problems})
        return Response(body, 200 if ready else 503, _NO_STORE, media_type="application/json")

    async def livez(_: Request) -> Response:
        return PlainTextResponse("alive\n", headers=_NO_STORE)

    async def sinkz(request: Request) -> Response:
        if (refused := access.refuse(request)) is not None:
            return refused
        lag = await measure_lag()
        return Response(orjson.dumps(lag), 200 if lag.healthy else 503, _NO_STORE, media_type="application/json")

    async def metrics(request: Request) -> Response:
        if (refused := access.refuse(request)) is not None:
            return refused
        page = metrics_page.render_metrics(metrics_folder.existing_folders(settings, "counter"))
        return Response(page, headers=_NO_STORE, media_type=metrics_page.CONTENT_TYPE)

    paths = {"/readyz": readyz, "/livez": livez, "/sinkz": sinkz, "/metrics": metrics}
    return Starlette(routes=[Route(path, endpoint) for path, endpoint in paths.items()])
