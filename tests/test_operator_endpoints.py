"""The endpoints for operators of every role: which peer, header, host and token lets in to which of them."""

from __future__ import annotations

from typing import Any

import pytest

from onebyone.api import ops_endpoints as api_ops
from onebyone.api.pipeline_lag import PipelineLag
from onebyone.counter import ops_endpoints as counter_ops
from onebyone.counter.health import CounterHealth
from onebyone.edge import ops_endpoints as edge_ops
from onebyone.edge.configuration.view import ConfigState
from onebyone.edge.journal.backlog import Backlog
from onebyone.edge.ops_endpoints import Health
from onebyone.settings import Settings
from tests.support.address_forms import NODES, forwarded_element

pytestmark = pytest.mark.anyio

ROLES = ["edge", "api", "counter"]
FOR_OPERATORS = ["/metrics", "/sinkz"]
FOR_EVERYBODY = ["/readyz", "/livez"]
TOKEN = "0123456789abcdefTOKEN"
PROXY = "10.0.0.1"
LOCAL = ["127.0.0.1", "::1", "::ffff:127.0.0.1"]
STRANGERS = ["198.51.100.7", "::ffff:198.51.100.7", "2001:db8::7"]
PROXIED = {
    "trusted_proxies": "10.0.0.0/8,127.0.0.1",
    "metrics_from": "127.0.0.0/8,10.0.0.0/8,203.0.113.7,2001:db8:7::9",
}
"""A setting that opens the endpoints to the proxies themselves, where a wrong answer shows."""


def app(role: str, **settings: Any) -> Any:
    chosen = Settings(**settings)
    if role == "edge":
        healthy = Health({"running": True, "journal": True}, {}, ConfigState(None, None, None), clock_skew=None)
        backlog = Backlog(0, 0, 0, 0, 0, journals=1, stream_accepting=True)
        return edge_ops.create_ops_app(chosen, lambda: healthy, lambda: backlog)

    if role == "counter":
        counts = CounterHealth({"running": True}, [0], 0, 0.0, 0, {})
        return counter_ops.create_ops_app(chosen, lambda: counts)

    async def lag() -> PipelineLag:
        return PipelineLag(healthy=True, report_store_answers=True, stream_answers=True)

    return api_ops.create_ops_app(chosen, lambda: {"running": True}, lag)


async def status(served: Any, path: str, peer: str, *headers: tuple[str, str], host: str = "127.0.0.1:8080") -> int:
    sent = [(name.lower().encode(), value.strip().encode()) for name, value in [("Host", host), *headers]]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": sent, "client": (peer, 1)}
    scope["http_version"] = "1.1"
    answers: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answers.append(message["status"])
            assert answers[0] != 403 or (b"cache-control", b"no-store") in message["headers"]

    await served(scope, None, send)
    return answers[0]


async def let_in(served: Any, peer: str, *headers: tuple[str, str], **more: str) -> bool:
    """Return whether both endpoints let in; those for everybody always do."""
    for path in FOR_EVERYBODY:
        assert await status(served, path, peer, *headers, **more) == 200
    answers = {await status(served, path, peer, *headers, **more) for path in FOR_OPERATORS}
    assert answers in ({200}, {403}), "both have one rule"
    return answers == {200}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("header", ["X-Forwarded-For", "CF-Connecting-IP", "Forwarded"])
async def test_what_a_declared_proxy_forwards(role: str, header: str) -> None:
    served = app(role, client_address_header=header, **PROXIED)
    prefix = "for=" if header == "Forwarded" else ""
    for name, node, client in NODES:
        hop = forwarded_element(node) if prefix else node
        if hop is None:
            continue
        for peer in (PROXY, "127.0.0.1"):
            for form in (f"{hop}", f"{prefix}127.0.0.1, {hop}", f"{hop}, {prefix}10.0.0.2"):
                assert await let_in(served, peer, (header, form)) == (client is not None), (name, peer, form)
            assert not await let_in(served, peer, (header, f"{hop}, {prefix}198.51.100.7")), name


@pytest.mark.parametrize("role", ROLES)
async def test_what_an_undeclared_proxy_forwards(role: str) -> None:
    served = app(role)
    for peer in (*LOCAL, *STRANGERS):
        assert await let_in(served, peer) == (peer in LOCAL)
        for header in ("X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "X-Real-IP", "Via", "CF-Connecting-IP"):
            for value in ("127.0.0.1", "203.0.113.7", "unknown", ""):
                assert not await let_in(served, peer, (header, value))


@pytest.mark.parametrize("role", ROLES)
async def test_a_page_under_another_name(role: str) -> None:
    served = app(role, ops_hosts="edge,api", public_url="https://tags.example")
    for host in ("localhost:8080", "[::1]:8080", "edge:8080", "api:8081"):
        assert await let_in(served, "127.0.0.1", host=host)
    for host in ("evil.example:8080", "127.0.0.1.evil.example", "edge.evil.example", "tags.example"):
        assert not await let_in(served, "127.0.0.1", host=host)


@pytest.mark.parametrize("role", ROLES)
async def test_the_token_opens_both(role: str) -> None:
    for settings in ({"ops_token": TOKEN}, {"ops_token": TOKEN, "metrics_from": "none"}):
        served = app(role, **settings)
        for peer in (*LOCAL, *STRANGERS):
            for host in ("api:8081", "127.0.0.1"):
                forwarded = ("X-Forwarded-For", "203.0.113.7")
                assert await let_in(served, peer, ("Authorization", f"Bearer {TOKEN}"), forwarded, host=host)
                assert not await let_in(served, peer, ("Authorization", f"Bearer {TOKEN}x"), forwarded, host=host)
            local = "metrics_from" not in settings and peer in LOCAL
            assert await let_in(served, peer) == local
