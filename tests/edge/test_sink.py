"""`/sinkz` of the edge: whether the stream accepts events, and how much waits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from onebyone.contracts import keys
from tests.edge.edge_process import EdgeProcess, Publisher, shipped, tracker
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import wait_until


def sink(edge: EdgeProcess) -> tuple[int, dict[str, Any]]:
    response = httpx.get(f"{edge.url}/sinkz", timeout=20)
    return response.status_code, response.json()


def test_the_sink_is_unhealthy_while_the_stream_server_is_away(
    edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess
) -> None:
    publisher.publish(tracker("imp", 1))
    wait_until(lambda: sink(edge)[0] == 200, "the sink is healthy")
    assert edge.get("/imptr?id=1").headers["x-onebyone"] == "recorded"
    wait_until(lambda: shipped(valkey.client()), "shipped")
    wait_until(lambda: sink(edge)[1]["uncounted_batches"] == 1, "one batch is not counted")
    wait_until(lambda: sink(edge)[1]["unshipped_batches"] == 0, "nothing is unshipped")
    valkey.kill()
    assert edge.get("/imptr?id=1").headers["x-onebyone"] == "recorded"
    wait_until(lambda: sink(edge)[1]["oldest_unshipped_seconds"] > 0, "an unshipped batch is reported")
    wait_until(lambda: not sink(edge)[1]["stream_takes_events"], "the failure is reported")
    status, body = sink(edge)
    assert (status, body["stream_takes_events"], body["unshipped_batches"]) == (503, False, 1)
    assert httpx.get(f"{edge.url}/readyz").status_code == 200
    valkey.start()
    wait_until(lambda: sink(edge)[0] == 200 and sink(edge)[1]["unshipped_batches"] == 0, "the sink is healthy again")


def test_the_sink_reports_uncounted_batches(edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess) -> None:
    publisher.publish(tracker("imp", 1))
    edge.get("/imptr?id=1")
    (path,) = (edge.data_dir / "journal").glob("*.sqlite3")
    client = valkey.client()
    wait_until(lambda: sink(edge)[1]["oldest_uncounted_seconds"] > 0, "an uncounted batch is reported")
    client.hset(keys.progress_key(int(path.stem, 16) % 4), path.stem, "1")
    wait_until(lambda: sink(edge)[1]["uncounted_batches"] == 0, "it is counted")
    assert sink(edge)[1]["oldest_uncounted_seconds"] == 0
    assert sink(edge)[1]["journal_bytes"] > 0


def test_events_that_nobody_counts_are_a_problem_but_no_reason_to_stop(
    valkey: ValkeyProcess, publisher: Publisher, tmp_path: Path
) -> None:
    publisher.publish(tracker("imp", 1))
    edge = EdgeProcess(tmp_path / "data", valkey.url, uncounted_seconds="0.5")
    edge.start()
    edge.get("/imptr?id=1")
    # Before the stream has taken the event, the sink may be red for that reason.
    wait_until(lambda: "counter" in sink(edge)[1]["problems"], "the events are late")
    words = "more than 0.5 s: the counter does not run, hangs or lags"
    status, body = sink(edge)
    assert (status, body["healthy"]) == (503, False)
    assert words in body["problems"]["counter"]
    ready = edge.get("/readyz")
    assert (ready.status_code, ready.json()["ready"], ready.json()["healthy"]) == (200, True, False)
    assert words in ready.json()["problems"]["counter"]
    (path,) = (edge.data_dir / "journal").glob("*.sqlite3")
    valkey.client().hset(keys.progress_key(int(path.stem, 16) % 4), path.stem, "1")
    wait_until(lambda: sink(edge)[0] == 200, "it is counted")
    assert edge.get("/readyz").json()["healthy"] is True
    edge.stop()
    edge.listener.close()


def test_the_sink_is_hidden_from_other_addresses(valkey: ValkeyProcess, publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish()
    edge = EdgeProcess(tmp_path / "data", valkey.url, metrics_from="10.0.0.0/8")
    edge.start()
    assert edge.get("/sinkz").status_code == 403
    edge.stop()
    edge.listener.close()
