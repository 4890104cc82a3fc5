"""What the operator asks the edge: may it get traffic, is it alive, how is it doing; and 404 for the rest."""

from __future__ import annotations

from collections.abc import Callable

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from onebyone import metrics_page
from onebyone.edge import visitor
from onebyone.settings import Settings


def application(settings: Settings, checks: Callable[[], dict[str, bool]]) -> Starlette:
    """`/readyz`, `/livez` and `/metrics`. `checks` names what must hold before this process may get traffic."""

    async def readyz(_: Request) -> Response:
        found = checks()
        ready = all(found.values())
        return Response(
            orjson.dumps({"ready": ready, "checks": found}),
            status_code=200 if ready else 503,
            media_type="application/json",
            headers={"cache-control": "no-store"},
        )

    async def livez(_: Request) -> Response:
        return PlainTextResponse("alive\n", headers={"cache-control": "no-store"})

    async def metrics(request: Request) -> Response:
        peer = request.client.host if request.client else ""
        address = visitor.client_address(peer, request.headers.raw, settings.proxy_networks)
        if not visitor.inside(address, settings.metrics_networks):
            return PlainTextResponse("not for this address\n", status_code=403)
        return Response(metrics_page.page(), media_type=metrics_page.CONTENT_TYPE)

    return Starlette(
        routes=[Route("/readyz", readyz), Route("/livez", livez), Route("/metrics", metrics)],
    )
