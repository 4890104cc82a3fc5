"""What the operator asks the API: may it get traffic, is it alive, how far is the counter, how is it doing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_address

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from onebyone.api.pipeline_lag import PipelineLag
from onebyone.runtime import metrics_folder, metrics_page
from onebyone.settings import Settings

_NO_STORE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def application(
    settings: Settings, checks: Callable[[], dict[str, bool]], sink: Callable[[], Awaitable[PipelineLag]]
) -> Starlette:
    """`/readyz`, `/livez`, `/sinkz` and `/metrics` (with those of the counter, which has no port).

    `checks` names what must hold before this process may get traffic, `sink` is how far the counter is.
    """

    async def readyz(_: Request) -> Response:
        found = checks()
        ready = all(found.values())
        text = orjson.dumps({"ready": ready, "checks": found})
        return Response(text, 200 if ready else 503, _NO_STORE, media_type="application/json")

    async def livez(_: Request) -> Response:
        return PlainTextResponse("alive\n", headers=_NO_STORE)

    def is_operator(request: Request) -> bool:
        peer = ip_address(request.client.host) if request.client else None
        return peer is not None and any(peer in network for network in settings.metrics_networks)

    async def sinkz(request: Request) -> Response:
        if not is_operator(request):
            return PlainTextResponse("not for this address\n", status_code=403, headers=_NO_STORE)
        found = await sink()
        status = 200 if found.healthy else 503
        return Response(orjson.dumps(found), status, _NO_STORE, media_type="application/json")

    async def metrics(request: Request) -> Response:
        if not is_operator(request):
            return PlainTextResponse("not for this address\n", status_code=403, headers=_NO_STORE)
        text = metrics_page.page(metrics_folder.existing_folders(settings, "counter"))
        return Response(text, headers=_NO_STORE, media_type=metrics_page.CONTENT_TYPE)

    paths = {"/readyz": readyz, "/livez": livez, "/sinkz": sinkz, "/metrics": metrics}
    return Starlette(routes=[Route(path, endpoint) for path, endpoint in paths.items()])
