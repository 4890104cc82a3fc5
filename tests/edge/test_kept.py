"""What is not counted, in a real edge process: on disk before the answer, or refused like what is counted."""

from __future__ import annotations

from pathlib import Path

from onebyone.contracts.configuration import MemberRecord
from tests.edge.edge_process import EdgeProcess, Publisher, shipped, shipped_sums, tracker
from tests.edge.test_recovery import fill
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import wait_until

PREFETCH = {"sec_purpose": "prefetch"}


def publish(publisher: Publisher) -> None:
    publisher.publish(
        MemberRecord(7),
        tracker("imp", 1),
        tracker("imp", 2, active=False),
        tracker("clk", 1, click_url="https://landing.example/"),
        tracker("clk", 2, click_url="https://landing.example/", active=False),
    )


def test_requests_that_reach_no_tracker_are_sums_by_the_end_of_the_process(
    edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess
) -> None:
    publish(publisher)
    for path in ("/imptr?id=9", "/imptr?id=9", "/imptr?id=x", "/clktr", "/Imptr?id=1", "/imptr?id=1", "/imptr?id=2"):
        edge.get(path)
    edge.get("/imptr?id=1", "POST")
    edge.raw(b"GET /imptr?id=1 HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n")
    assert edge.stop() == 0
    assert shipped_sums(valkey.client()) == {
        ("imp", "unknown_id"): 2,
        ("imp", "bad_id"): 1,
        ("clk", "bad_id"): 1,
        ("imp", "bad_path"): 1,
        ("imp", "bad_request"): 1,
        ("imp", "method"): 1,
    }
    assert [event.get("reason") for event in shipped(valkey.client())] == [None, "inactive"]


def test_a_kept_event_survives_a_kill(edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess) -> None:
    publish(publisher)
    edge.get("/imptr?id=1")
    answers = [edge.get(f"/clktr?id=1&cachebuster={number}", **PREFETCH) for number in range(20)]
    edge.kill()
    assert {answer.headers["x-onebyone"] for answer in answers} == {"ignored; reason=prefetch"}
    edge.start()
    wait_until(lambda: len(shipped(valkey.client())) >= 21, "all are shipped")
    kept = [event for event in shipped(valkey.client()) if "reason" in event]
    assert sorted(int(event["cb"]) for event in kept) == list(range(20))


def test_what_the_disk_refuses_says_journal_whether_or_not_it_would_be_counted(
    valkey: ValkeyProcess, publisher: Publisher, small_disk: Path
) -> None:
    publish(publisher)
    edge = EdgeProcess(small_disk / "data", valkey.url)
    edge.start()
    ballast = fill(small_disk)
    wait_until(lambda: edge.get("/imptr?id=1").status_code == 503, "the full disk is noticed", every=0)
    answers = {
        "inactive imp": edge.get("/imptr?id=2"),
        "prefetched imp": edge.get("/imptr?id=1", **PREFETCH),
        "head": edge.get("/imptr?id=1", "HEAD"),
        "inactive click": edge.get("/clktr?id=2"),
        "prefetched click": edge.get("/clktr?id=1", **PREFETCH),
    }
    assert {answer.headers["x-onebyone"] for answer in answers.values()} == {"ignored; reason=journal"}
    assert [answer.status_code for answer in answers.values()] == [503, 503, 503, 302, 425]
    edge.get("/imptr?id=9")
    ballast.unlink()
    wait_until(lambda: edge.get("/imptr?id=2").headers["x-onebyone"] == "ignored; reason=inactive", "keeping again")
    page = edge.get("/metrics").text
    journal = [line for line in page.splitlines() if 'kind="imp",reason="journal"' in line]
    assert float(journal[0].split()[-1]) >= 4
    assert 'onebyone_edge_ignored_total{kind="imp",reason="inactive"} 1.0' in page
    assert edge.stop() == 0
    edge.listener.close()
    wait_until(lambda: shipped_sums(valkey.client()) == {("imp", "unknown_id"): 1}, "the sum is written after all")
