"""The edge applies changes of the configuration, even if an announcement or the cache server was lost."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest

from onebyone.contracts import keys
from onebyone.contracts.configuration import Head, MemberRecord
from tests.edge.edge_process import EdgeProcess, Publisher, tracker
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import wait_until

OLD, NEW = "https://landing.example/old", "https://landing.example/new"


def verdict(edge: EdgeProcess, path: str) -> str:
    return str(edge.get(path).headers["x-onebyone"])


def location(edge: EdgeProcess, tracker_id: int = 1) -> str | None:
    response = edge.get(f"/clktr?id={tracker_id}")
    return None if response.status_code != 302 else str(response.headers["location"])


def test_a_new_tracker_is_live_though_it_was_requested_before(edge: EdgeProcess, publisher: Publisher) -> None:
    assert verdict(edge, "/imptr?id=1") == "ignored; reason=unknown_id"
    publisher.publish(tracker("imp", 1))
    wait_until(lambda: verdict(edge, "/imptr?id=1") == "recorded", "the tracker is live", seconds=2)


def test_changes_and_deletion_are_applied(edge: EdgeProcess, publisher: Publisher) -> None:
    publisher.publish(tracker("clk", 1, click_url=OLD))
    wait_until(lambda: location(edge) == OLD, "live", seconds=2)
    publisher.publish(tracker("clk", 1, click_url=NEW))
    wait_until(lambda: location(edge) == NEW, "changed", seconds=2)
    publisher.publish(tracker("clk", 1, click_url=NEW, active=False))
    wait_until(lambda: verdict(edge, "/clktr?id=1") == "ignored; reason=inactive", "inactive", seconds=2)
    publisher.publish(deleted=(keys.tracker_key("clk", 1),))
    wait_until(lambda: verdict(edge, "/clktr?id=1") == "ignored; reason=unknown_id", "deleted", seconds=2)


def test_changed_redirect_rules_of_a_member_are_applied(edge: EdgeProcess, publisher: Publisher) -> None:
    path = "/clktr?id=1&redir=https://partner.example/x"
    publisher.publish(MemberRecord(7), tracker("clk", 1, click_url=OLD))
    wait_until(lambda: edge.get(path).headers.get("location") == OLD, "refused", seconds=2)
    publisher.publish(MemberRecord(7, redirect_domains=("partner.example",)))
    wait_until(lambda: edge.get(path).headers.get("location") == "https://partner.example/x", "approved", seconds=2)


def test_a_lost_announcement_is_noticed(edge: EdgeProcess, publisher: Publisher) -> None:
    publisher.publish(tracker("clk", 1, click_url=OLD))
    wait_until(lambda: location(edge) == OLD, "live")
    publisher.version += 1
    publisher.client.set(keys.tracker_key("clk", 1), tracker("clk", 1, click_url=NEW).encode())
    publisher.client.set(keys.HEAD, Head("store", publisher.version).encode())
    wait_until(lambda: location(edge) == NEW, "the change without a message", seconds=2)


def test_cached_trackers_are_used_while_the_cache_server_is_away(
    edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess
) -> None:
    publisher.publish(tracker("imp", 1))
    assert verdict(edge, "/imptr?id=1") == "recorded"
    valkey.kill()
    assert verdict(edge, "/imptr?id=1") == "recorded"
    cold = edge.get("/imptr?id=2")
    assert (cold.status_code, cold.headers["x-onebyone"], len(cold.content)) == (503, "ignored; reason=config", 43)
    click = edge.get("/clktr?id=2&redir=https://stranger.example/a")
    assert (click.status_code, "https://stranger.example/a" in click.text) == (503, True)
    assert edge.get("/clktr?id=2").status_code == 503
    valkey.start()
    publisher.publish(tracker("imp", 2))
    wait_until(lambda: verdict(edge, "/imptr?id=2") == "recorded", "all is well again")


def test_an_emptied_cache_does_not_make_trackers_unknown(
    edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess
) -> None:
    publisher.publish(tracker("imp", 1), tracker("imp", 2))
    assert verdict(edge, "/imptr?id=1") == "recorded"
    valkey.client().flushall()
    assert verdict(edge, "/imptr?id=1") == "recorded"
    assert verdict(edge, "/imptr?id=2") == "ignored; reason=config"
    publisher.publish(tracker("imp", 1), tracker("imp", 2))
    wait_until(lambda: verdict(edge, "/imptr?id=2") == "recorded", "refilled", seconds=2)


def test_a_paused_cache_server_delays_no_request_for_long(
    edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess
) -> None:
    publisher.publish(tracker("imp", 1))
    assert verdict(edge, "/imptr?id=1") == "recorded"
    valkey.pause()
    try:
        assert verdict(edge, "/imptr?id=1") == "recorded"
        assert verdict(edge, "/imptr?id=2") == "ignored; reason=config"
    finally:
        valkey.resume()


def test_an_edge_is_not_ready_before_the_cache_is_complete(valkey: ValkeyProcess, tmp_path: Path) -> None:
    edge = EdgeProcess(tmp_path / "data", valkey.url)
    edge.start(wait=False)
    ready = wait_until(lambda: edge.get("/readyz"), "it listens")
    assert (ready.status_code, ready.json()["checks"]["configuration"]) == (503, False)
    Publisher(valkey).publish(tracker("imp", 1))
    wait_until(lambda: edge.get("/readyz").status_code == 200, "ready")
    edge.stop()
    edge.listener.close()


def test_garbage_in_the_cache_does_not_stop_the_watcher(edge: EdgeProcess, publisher: Publisher) -> None:
    publisher.publish(tracker("clk", 1, click_url=OLD))
    wait_until(lambda: location(edge) == OLD, "live")
    publisher.client.set(keys.HEAD, "rubbish")
    publisher.client.xadd(keys.CHANGES, {"rubbish": "x"})
    publisher.client.set(keys.tracker_key("imp", 77), '{"id":77,"kind":"imp"}')
    unreadable = edge.get("/imptr?id=77")
    assert (unreadable.status_code, unreadable.headers["x-onebyone"]) == (503, "ignored; reason=config")
    publisher.publish(tracker("clk", 1, click_url=NEW))
    wait_until(lambda: location(edge) == NEW, "changes are followed again")


def test_a_click_lands_though_its_redirect_cannot_be_checked(
    edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess
) -> None:
    publisher.publish(tracker("clk", 1, click_url=OLD))
    wait_until(lambda: location(edge) == OLD, "live")
    valkey.kill()
    response = edge.get("/clktr?id=1&redir=https://partner.example/x")
    assert (response.status_code, response.headers["location"]) == (302, OLD)
    assert response.headers["x-onebyone"] == "recorded; redirect=refused"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /imptr?id=1&cachebuster=" + b"x" * 10_000_000 + b" HTTP/1.1\r\n",
        b"GET /imptr?id=1 HTTP/1.1\r\n" + b"X-Filler: " + b"y" * 60_000 + b"\r\n" + b"X-More: " + b"z" * 10_000_000,
        b"GET /imptr?id=1 HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(200_000)),
    ],
    ids=["request line", "header", "headers"],
)
def test_an_endless_request_head_is_refused(edge: EdgeProcess, head: bytes) -> None:
    with socket.create_connection(edge.listener.getsockname(), timeout=20) as connection:
        response = b""
        with contextlib.suppress(ConnectionError):
            connection.sendall(head)
        with contextlib.suppress(ConnectionError):
            response = connection.recv(1000)
    assert response == b"" or response.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))
    assert edge.get("/livez").status_code == 200
