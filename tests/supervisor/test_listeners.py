"""Sockets that can and cannot be bound, and their URLs."""

from __future__ import annotations

import socket

import pytest

from onebyone.runtime.addresses import base_url, local_url
from onebyone.supervisor.fault import StartFault
from onebyone.supervisor.listeners import bind_listener, port_of

NAMES = ("ONEBYONE_HOST", "ONEBYONE_EDGE_PORT")


def test_port_0_picks_a_free_port() -> None:
    listener = bind_listener("127.0.0.1", 0, *NAMES)
    with listener, socket.create_connection(("127.0.0.1", port_of(listener))) as connection:
        assert connection.getpeername() == listener.getsockname()


def test_the_fault_names_a_port_in_use() -> None:
    with (
        bind_listener("127.0.0.1", 0, "ONEBYONE_HOST", "X") as first,
        pytest.raises(StartFault, match=r"127\.0\.0\.1 port \d+: Address already in use; ONEBYONE_EDGE_PORT"),
    ):
        bind_listener("127.0.0.1", port_of(first), *NAMES)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "not a host", "x" * 300])
def test_the_fault_names_a_foreign_host(host: str) -> None:
    with pytest.raises(StartFault, match="cannot listen on"):
        bind_listener(host, 0, *NAMES)


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:80"), ("::1", "http://[::1]:80"), ("localhost", "http://localhost:80")],
)
def test_base_urls(host: str, url: str) -> None:
    assert base_url(host, 80) == url


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:80"), ("::", "http://[::1]:80"), ("10.0.0.1", "http://10.0.0.1:80")],  # noqa: S104
)
def test_local_urls(host: str, url: str) -> None:
    assert local_url(host, 80) == url
