"""What each command runs."""

from __future__ import annotations

import sys
from collections.abc import Callable

from onebyone.runtime.addresses import base_url
from onebyone.runtime.terminal import printable, write_line
from onebyone.settings import Settings
from onebyone.supervisor import summary
from onebyone.supervisor.fault import StartFault
from onebyone.supervisor.listeners import bind_listener, port_of
from onebyone.supervisor.main import Plan
from onebyone.supervisor.roles import Role, role_command

LOOPBACK = "127.0.0.1"


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
    role, port = _counter(settings, settings.host, embedded=False)
    return Plan([[role]], {"counter_port": port}, summary.counter_summary(settings, port))


def _plan_all(settings: Settings, summarise: Callable[[Settings, int, int], str], *more: Role) -> Plan:
    (edge, edge_port), (api, api_port) = _edge(settings), _api(settings)
    # The API's port is for clients and may be open to all: the counter's is for this machine.
    counter, counter_port = _counter(settings, LOOPBACK, embedded=True)
    ports = {"edge_port": edge_port, "api_port": api_port, "counter_port": counter_port}
    return Plan([[*more, edge, api], [counter]], ports, summarise(settings, edge_port, api_port))


def _edge(settings: Settings) -> tuple[Role, int]:
    listener = bind_listener(settings.host, settings.edge_port, *settings.names("host", "edge_port"))
    port = port_of(listener)
    line = f"edge ready on {base_url(settings.host, port)} ({summary.count_text(settings.workers, 'worker')})"
    return Role("edge", line, role_command("edge"), processes=settings.workers, listener=listener), port


def _api(settings: Settings) -> tuple[Role, int]:
    listener = bind_listener(settings.host, settings.api_port, *settings.names("host", "api_port"))
    port = port_of(listener)
    return Role("api", f"api ready on {base_url(settings.host, port)}", role_command("api"), listener=listener), port


def _counter(settings: Settings, host: str, *, embedded: bool) -> tuple[Role, int]:
    """Return the counter and its port; 0: it has none."""
    line = f"counter ready ({summary.count_text(settings.shards, 'shard')})"
    listener = None
    if settings.counter_port:
        try:
            listener = bind_listener(host, settings.counter_port, *settings.names("host", "counter_port"))
        except StartFault as fault:
            # Nobody who has not asked for this port is to be kept from starting by it.
            if not embedded or "counter_port" in settings.model_fields_set:
                raise
            write_line(sys.stderr, f"onebyone: warning: {printable(str(fault))}; the counter runs without a port")
    role = Role("counter", line, role_command("counter"), listener=listener)
    return role, 0 if listener is None else port_of(listener)
