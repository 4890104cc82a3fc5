"""Sockets that can and cannot be bound."""

from __future__ import annotations

import socket

import pytest

from onebyone.supervisor import listeners
from onebyone.supervisor.fault import StartFault


def test_port_0_is_a_free_port() -> None:
    listener = listeners.bind("127.0.0.1", 0, "ONEBYONE_EDGE_PORT")
    with listener, socket.create_connection(("127.0.0.1", listeners.port_of(listener))) as connection:
        assert connection.getpeername() == listener.getsockname()


def test_a_port_in_use_is_named() -> None:
    with (
        listeners.bind("127.0.0.1", 0, "X") as first,
        pytest.raises(StartFault, match=r"127\.0\.0\.1 port \d+: Address already in use; ONEBYONE_EDGE_PORT"),
    ):
        listeners.bind("127.0.0.1", listeners.port_of(first), "ONEBYONE_EDGE_PORT")


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "not a host", "x" * 300])
def test_a_host_that_is_not_ours_is_named(host: str) -> None:
    with pytest.raises(StartFault, match="cannot listen on"):
        listeners.bind(host, 0, "ONEBYONE_EDGE_PORT")


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:80"), ("::1", "http://[::1]:80"), ("localhost", "http://localhost:80")],
)
def test_urls(host: str, url: str) -> None:
    assert listeners.url(host, 80) == url
