"""What each command runs."""

from __future__ import annotations

from collections.abc import Sequence

from onebyone.settings import Settings
from onebyone.supervisor import listeners
from onebyone.supervisor.main import Plan
from onebyone.supervisor.roles import Role, module


def everything(settings: Settings, more: Sequence[Role] = ()) -> Plan:
    """All roles, and `more` that stop first. The counter stops last, so that it counts what the edges ship."""
    (edge, edge_port), (api, api_port) = _edge(settings), _api(settings)
    return Plan([[*more, edge, api], [_counter(settings)]], {"edge_port": edge_port, "api_port": api_port})


def edge_only(settings: Settings) -> Plan:
    """The edge workers."""
    role, port = _edge(settings)
    return Plan([[role]], {"edge_port": port})


def api_only(settings: Settings) -> Plan:
    """The config API."""
    role, port = _api(settings)
    return Plan([[role]], {"api_port": port})


def counter_only(settings: Settings) -> Plan:
    """The counter."""
    return Plan([[_counter(settings)]], {})


def _edge(settings: Settings) -> tuple[Role, int]:
    listener = listeners.bind(settings.host, settings.edge_port, "ONEBYONE_EDGE_PORT")
    port = listeners.port_of(listener)
    workers = "1 worker" if settings.workers == 1 else f"{settings.workers} workers"
    line = f"edge ready on {listeners.url(settings.host, port)} ({workers})"
    return Role("edge", line, module("edge"), copies=settings.workers, listener=listener), port


def _api(settings: Settings) -> tuple[Role, int]:
    listener = listeners.bind(settings.host, settings.api_port, "ONEBYONE_API_PORT")
    port = listeners.port_of(listener)
    return Role("api", f"api ready on {listeners.url(settings.host, port)}", module("api"), listener=listener), port


def _counter(settings: Settings) -> Role:
    shards = "1 shard" if settings.shards == 1 else f"{settings.shards} shards"
    return Role("counter", f"counter ready ({shards})", module("counter"))
