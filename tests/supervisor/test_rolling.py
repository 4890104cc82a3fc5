"""SIGHUP: every process is replaced, and no request fails."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.product import Product, start_product
from tests.support.traffic import Traffic
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes

SERVED = ("edge", "api", "counter")


def new_connections(url: str, seen: Counter[str], stop: threading.Event) -> None:
    """Send each request on a connection of its own, and count the answers by status."""
    while not stop.wait(0.01):
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310
                seen[str(answer.status)] += 1
        except OSError as error:
            seen[repr(error)] += 1


def test_a_rolling_restart_fails_no_request(tmp_path: Path) -> None:
    product = start_product(tmp_path / "data", workers=2, drain_seconds=1)
    stop = threading.Event()
    seen: Counter[str] = Counter()
    traffic = Traffic(product.edge_url, lambda name: f"/imptr?id=1&cachebuster={name}")
    urls = (f"{product.edge_url}/imptr?id=1", f"{product.edge_url}/readyz", f"{product.api_url}/readyz")
    threads = [threading.Thread(target=new_connections, args=(url, seen, stop)) for url in urls]
    try:
        for thread in threads:
            thread.start()
        traffic.start(pause=0.01)
        before = {role: product.pids(role) for role in (*SERVED, "valkey")}
        os.kill(product.pid, signal.SIGHUP)
        wait_until(lambda: '"rolling restart done"' in product.stderr.read_text(), "it is done", 60)
        after = {role: product.pids(role) for role in (*SERVED, "valkey")}
        assert after["valkey"] == before["valkey"]
        for role in SERVED:
            assert len(after[role]) == len(before[role])
            assert not set(after[role]) & set(before[role])
        time.sleep(0.2)
    finally:
        stop.set()
        answers = traffic.stop()
        for thread in threads:
            thread.join()
        product.stop()
    assert not answers.in_doubt
    assert set(seen) == {"200"}
    assert answers.sent > 300


def test_stop_during_a_rolling_restart(product: Product) -> None:
    os.kill(product.pid, signal.SIGHUP)
    wait_until(lambda: len(product.pids("edge")) == 2, "the successor is started", every=0.01)
    assert product.terminate() == 0


DEFERRED_SECONDS = 4.0
"""After this the kernel gives the edge a connection on which nothing was sent (TCP_DEFER_ACCEPT)."""


def test_idle_and_deferred_connections_are_served_after_sigterm(product: Product) -> None:
    address = urlsplit(product.edge_url)
    (edge,) = product.pids("edge")
    clients = [httpx.Client(base_url=product.edge_url, timeout=20) for _ in range(20)]
    for client in clients[:10]:
        assert client.get("/livez").status_code == 200
    accepted = [socket.create_connection((address.hostname, address.port)) for _ in range(20)]
    time.sleep(DEFERRED_SECONDS)
    deferred = [socket.create_connection((address.hostname, address.port)) for _ in range(20)]
    os.kill(edge, signal.SIGTERM)
    time.sleep(0.3)
    for connection in accepted + deferred:
        connection.sendall(b"GET /imptr?id=1 HTTP/1.1\r\nHost: a\r\n\r\n")
    answers = {connection: connection.recv(4096) for connection in accepted + deferred}
    assert {answer.split(b"\r\n")[0] for answer in answers.values()} == {b"HTTP/1.1 200 OK"}
    assert all(b"connection: close" in answers[connection].lower() for connection in accepted)
    assert {client.get("/imptr?id=1").status_code for client in clients} == {200}
    for connection in answers:
        connection.close()
    for client in clients:
        client.close()
