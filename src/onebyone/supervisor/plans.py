"""What each command runs."""

from __future__ import annotations

from collections.abc import Callable

from onebyone.runtime.addresses import base_url
from onebyone.settings import Settings
from onebyone.supervisor import summary
from onebyone.supervisor.listeners import bind_listener, port_of
from onebyone.supervisor.main import Plan
from onebyone.supervisor.roles import Role, role_command


def plan_product(settings: Settings) -> Plan:
    """Return all roles. The counter stops last, to count what the edges ship."""
    return _plan_all(settings, summary.serve_summary)


def plan_demo(settings: Settings, traffic: Role) -> Plan:
    """Return all roles and the demo's traffic."""
    return _plan_all(settings, summary.demo_summary, traffic)


def plan_edge(settings: Settings) -> Plan:
    """Return the edge workers."""
    role, port = _edge(settings)
    return Plan([[role]], {"edge_port": port}, summary.edge_summary(settings, port))


def plan_api(settings: Settings) -> Plan:
    """Return the config API."""
    role, port = _api(settings)
    return Plan([[role]], {"api_port": port}, summary.api_summary(settings, port))


def plan_counter(settings: Settings) -> Plan:
    """Return the counter."""
    return Plan([[_counter(settings)]], {}, summary.counter_summary(settings))


def _plan_all(settings: Settings, summarise: Callable[[Settings, int, int], str], *more: Role) -> Plan:
    (edge, edge_port), (api, api_port) = _edge(settings), _api(settings)
    ports = {"edge_port": edge_port, "api_port": api_port}
    return Plan([[*more, edge, api], [_counter(settings)]], ports, summarise(settings, edge_port, api_port))


def _edge(settings: Settings) -> tuple[Role, int]:
    listener = bind_listener(settings.host, settings.edge_port, *settings.names("host", "edge_port"))
    port = port_of(listener)
    line = f"edge ready on {base_url(settings.host, port)} ({summary.count_text(settings.workers, 'worker')})"
    return Role("edge", line, role_command("edge"), processes=settings.workers, listener=listener), port


def _api(settings: Settings) -> tuple[Role, int]:
    listener = bind_listener(settings.host, settings.api_port, *settings.names("host", "api_port"))
    port = port_of(listener)
    return Role("api", f"api ready on {base_url(settings.host, port)}", role_command("api"), listener=listener), port


def _counter(settings: Settings) -> Role:
    return Role("counter", f"counter ready ({summary.count_text(settings.shards, 'shard')})", role_command("counter"))
