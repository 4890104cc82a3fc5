"""The whole product under its supervisor: what a user sees of starts, crashes and drains."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import process_guard
from tests.support.product import Product, alive, children, start_product
from tests.support.tiers import starts_processes
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
@starts_processes
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product that these tests share, kill and restart."""
    shared = start_product(tmp_path_factory.mktemp("product") / "data")
    yield shared
    shared.stop()


def test_one_ready_line_per_role_and_a_clean_drain(product: Product) -> None:
    wait_until(lambda: product.stdout.read_text().count(" ready ") == 4, "everything is ready")
    lines = product.stdout.read_text().splitlines()
    port = product.edge_url.rpartition(":")[2]
    assert f"edge ready on http://127.0.0.1:{port} (1 worker)" in lines
    assert f"api ready on {product.api_url}" in lines
    assert "counter ready (4 shards)" in lines
    assert sum(line.startswith("valkey ready (unix socket /") for line in lines) == 1
    everyone = [product.pid, *children(product.pid)]
    assert product.terminate() == 0
    assert not any(alive(pid) for pid in everyone)


def test_the_process_guard_finds_every_process(running: Product) -> None:
    # Valkey overwrites the mark with its title; it ends with its supervisor anyway.
    expected = {running.pid, *children(running.pid)} - set(running.pids("valkey"))
    assert len(expected) == 4
    assert expected <= set(process_guard.marked(os.environ[process_guard.MARK]))


@pytest.mark.parametrize("role", ["edge", "api", "counter", "valkey"])
def test_the_product_recovers_from_the_death_of_any_process(running: Product, role: str) -> None:
    (pid,) = running.pids(role)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: running.pids(role) not in ([], [pid]), f"another {role}")
    running.wait_ready()
    assert running.client().call("GET", "member")["member"]["id"] == 1


def test_a_killed_product_restarts_with_its_data(running: Product) -> None:
    made = running.client().create("advertiser", {"name": "Kept"})
    running.kill()
    running.start()
    assert running.client().get("advertiser", made["id"])["name"] == "Kept"


def test_the_port_stays_open_while_the_only_worker_restarts(running: Product) -> None:
    (pid,) = running.pids("edge")
    os.kill(pid, signal.SIGKILL)
    assert httpx.get(f"{running.edge_url}/livez", timeout=60).status_code == 200


def test_a_separate_edge_works_with_the_servers_of_another_run(running: Product, tmp_path: Path) -> None:
    url = (running.data_dir / "run" / "embedded-valkey").read_text().strip()
    edge = start_product(tmp_path / "edge", "edge", cache_url=url, stream_url=url, api_port=running.api_url[17:])
    try:
        # It answers before it prints its line.
        wait_until(lambda: edge.stdout.read_text().startswith(f"edge ready on {edge.edge_url}"), "the line")
        assert not edge.pids("valkey")
        assert edge.terminate() == 0
    finally:
        edge.stop()
