"""`onebyone serve` on a terminal: what a person reads at the start, and what Ctrl-C does."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import orjson
import pytest

from tests.support.ports import free_port
from tests.support.product import PASSWORD, Product, start_product
from tests.support.terminal import CTRL_C, Terminal
from tests.support.tiers import starts_processes
from tests.support.waiting import wait_until

READY = "Stop      Ctrl-C"
LOG_LINE = re.compile(r"^\d\d:\d\d:\d\d \[\w+ *\] \w+ +\S")

Serve = Callable[..., Terminal]


@pytest.fixture
@starts_processes
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start `onebyone serve` on a terminal and wait until it is ready."""
    opened: list[Terminal] = []

    def start(*options: str, **settings: object) -> Terminal:
        defaults = {"data_dir": tmp_path / "data", "edge_port": free_port(), "api_port": free_port(), "workers": 1}
        values = defaults | {"drain_seconds": 0.1, "admin_password": PASSWORD} | settings
        environment = {f"ONEBYONE_{name.upper()}": str(value) for name, value in values.items()}
        environment |= {"PATH": os.environ["PATH"], "NO_COLOR": "1"}
        opened.append(Terminal("serve", *options, environment=environment))
        opened[-1].wait_for(READY)
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


def log_lines(terminal: Terminal) -> list[str]:
    """Return the readable log lines, without their time."""
    return [line.partition(" ")[2] for line in terminal.screen.splitlines() if LOG_LINE.match(line)]


def supervisor_lines(terminal: Terminal) -> list[str]:
    """Return level and text of the supervisor's log lines."""
    return [" ".join(line.split()) for line in log_lines(terminal) if " supervisor " in line]


def test_a_start_ends_with_one_block_and_readable_log_lines(serve: Serve, tmp_path: Path) -> None:
    edge, api = free_port(), free_port()
    screen = serve(edge_port=edge, api_port=api).screen
    _, _, block = screen.partition(" is running. ")
    assert f"Data: {tmp_path / 'data'}\n" in block
    for row in (
        f"Edge      http://127.0.0.1:{edge} ",
        f"API docs  http://127.0.0.1:{api}/docs",
        f'A tag     <img src="http://127.0.0.1:{edge}/imptr?id=1&t=2&cachebuster=[CACHEBUSTER]" width="1" height="1">',
        "          look for faults, from a second terminal: ",
        f"onebyone check --data-dir {tmp_path / 'data'} --edge-port {edge} --api-port {api}\n",
    ):
        assert row in block, row
    assert " ready " not in block, "the block comes last"
    assert any(" counter " in line for line in screen.splitlines() if LOG_LINE.match(line))
    assert not any(line.startswith("{") for line in screen.splitlines())


def test_ctrl_c_drains_and_says_so_in_two_lines(serve: Serve) -> None:
    terminal = serve()
    terminal.press(CTRL_C)
    assert terminal.wait() == 0
    assert supervisor_lines(terminal) == [
        "[info ] supervisor draining; a second signal stops immediately signal=SIGINT",
        "[info ] supervisor stopped",
    ]


def test_a_second_ctrl_c_stops_immediately_with_one_more_line(serve: Serve) -> None:
    terminal = serve(drain_seconds=60)
    terminal.press(CTRL_C)
    terminal.wait_for("draining")
    terminal.press(CTRL_C)
    terminal.wait_for("stopping immediately")
    terminal.press(CTRL_C)
    assert terminal.wait() == 1
    assert [line.partition(";")[0] for line in supervisor_lines(terminal)] == [
        "[info ] supervisor draining",
        "[warning ] supervisor stopping immediately",
    ]
    assert "error" not in terminal.screen
    assert "Traceback" not in terminal.screen


def test_json_can_be_asked_for_on_a_terminal(serve: Serve) -> None:
    terminal = serve(log_format="json")
    terminal.press(CTRL_C)
    terminal.wait()
    logged = [line for line in terminal.screen.splitlines() if line.startswith("{")]
    roles = {orjson.loads(line)["role"] for line in logged}
    assert {"supervisor", "counter", "api"} <= roles
    assert log_lines(terminal) == []


def test_options_reach_all_processes(serve: Serve, tmp_path: Path) -> None:
    edge, api = free_port(), free_port()
    options = ("--edge-port", str(edge), "--api-port", str(api), "--data-dir", str(tmp_path / "other"))
    serve(*options, edge_port=1, api_port=1)
    assert httpx.get(f"http://127.0.0.1:{edge}/readyz").status_code == 200
    assert httpx.get(f"http://127.0.0.1:{api}/readyz").status_code == 200
    assert len(list((tmp_path / "other" / "journal").glob("*.sqlite3"))) == 1
    assert not (tmp_path / "data").exists()


def journal_lines(product: Product) -> list[str]:
    """Return the log lines of edges about journals of earlier processes."""
    return [line for line in product.stderr.read_text().splitlines() if "earlier process" in line]


@pytest.mark.processes
def test_a_start_after_a_clean_stop_finds_nothing_to_recover(tmp_path: Path) -> None:
    product = start_product(tmp_path / "data")
    try:
        client = product.client()
        advertiser = client.create("advertiser", {"name": "A"})["id"]
        publisher = client.create("publisher", {"name": "P"})["id"]
        line_item = client.create("line-item", {"name": "L"}, advertiser_id=advertiser)["id"]
        parents = {"name": "T", "publisher": {"id": publisher}, "line_item": {"id": line_item}}
        tracker = client.create("imptracker", parents, advertiser_id=advertiser)["id"]
        tag = f"{product.edge_url}/imptr?id={tracker}"
        wait_until(lambda: httpx.head(tag).headers["x-onebyone"] == "ignored; reason=head", "the edge knows it")
        assert httpx.get(tag).headers["x-onebyone"] == "recorded"
        assert product.terminate() == 0
        product.start()
        sink = f"{product.edge_url}/sinkz"
        wait_until(lambda: httpx.get(sink).json()["journals"] == 2, "the counted batch is kept for a while")
        assert journal_lines(product) == []
        product.kill()
        product.start()
        assert journal_lines(product) == [], "all was counted before the kill"
    finally:
        product.stop()


@pytest.mark.processes
def test_a_clean_stop_without_an_event_leaves_no_journal(tmp_path: Path) -> None:
    product = start_product(tmp_path / "data")
    try:
        journals = tmp_path / "data" / "journal"
        wait_until(lambda: list(journals.glob("*.sqlite3")), "a journal")
        assert product.terminate() == 0
        assert list(journals.iterdir()) == []
    finally:
        product.stop()
