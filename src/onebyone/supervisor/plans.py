"""What each command runs."""

from __future__ import annotations

from collections.abc import Sequence

from onebyone.runtime.addresses import base_url
from onebyone.settings import Settings
from onebyone.supervisor import summary
from onebyone.supervisor.listeners import bind_listener, port_of
from onebyone.supervisor.main import Plan
from onebyone.supervisor.roles import Role, role_command


def everything(settings: Settings, more: Sequence[Role] = ()) -> Plan:
    """Return all roles, and `more` that stop first. The counter stops last, to count what the edges ship."""
    (edge, edge_port), (api, api_port) = _edge(settings), _api(settings)
    ports = {"edge_port": edge_port, "api_port": api_port}
    return Plan([[*more, edge, api], [_counter(settings)]], ports, summary.of_everything(settings, **ports))


def edge_only(settings: Settings) -> Plan:
    """Return the edge workers."""
    role, port = _edge(settings)
    return Plan([[role]], {"edge_port": port}, summary.of_edge(settings, port))


def api_only(settings: Settings) -> Plan:
    """Return the config API."""
    role, port = _api(settings)
    return Plan([[role]], {"api_port": port}, summary.of_api(settings, port))


def counter_only(settings: Settings) -> Plan:
    """Return the counter."""
    return Plan([[_counter(settings)]], {}, summary.of_counter(settings))


def _edge(settings: Settings) -> tuple[Role, int]:
    listener = bind_listener(settings.host, settings.edge_port, *settings.names("host", "edge_port"))
    port = port_of(listener)
    line = f"edge ready on {base_url(settings.host, port)} ({summary.counted(settings.workers, 'worker')})"
    return Role("edge", line, role_command("edge"), processes=settings.workers, listener=listener), port


def _api(settings: Settings) -> tuple[Role, int]:
    listener = bind_listener(settings.host, settings.api_port, *settings.names("host", "api_port"))
    port = port_of(listener)
    return Role("api", f"api ready on {base_url(settings.host, port)}", role_command("api"), listener=listener), port


def _counter(settings: Settings) -> Role:
    return Role("counter", f"counter ready ({summary.counted(settings.shards, 'shard')})", role_command("counter"))
