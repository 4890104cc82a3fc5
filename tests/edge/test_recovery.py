"""Recorded events reach the stream even if the edge or the stream server dies, or the stream is emptied."""

from __future__ import annotations

import contextlib
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from typing import cast

import pytest
import redis

from onebyone.contracts import keys
from tests.edge.edge_process import EdgeProcess, Publisher, shipped, tracker
from tests.support.traffic import Answers, Traffic
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import wait_until


def impressions(edge: EdgeProcess) -> Traffic:
    return Traffic(edge.url, lambda name: f"/imptr?id=1&cachebuster={name}")


def fill(folder: Path) -> Path:
    """Fill a file system to the last byte; return the file that does."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    return ballast


def assert_conserved(client: redis.Redis, answers: Answers) -> None:
    """Assert that the stream has each recorded event once, each unanswered one at most once, and nothing else."""
    wait_until(
        lambda: answers.recorded <= {event["cb"] for event in shipped(client)}, "every recorded event is shipped", 30
    )
    counts = Counter(event["cb"] for event in shipped(client))
    assert set(counts.values()) <= {1}
    assert set(counts) <= answers.recorded | answers.in_doubt
    ids = [event["id"] for event in shipped(client)]
    assert len(set(ids)) == len(ids)


def test_the_edge_is_killed_at_random_under_traffic(
    edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess
) -> None:
    publisher.publish(tracker("imp", 1))
    traffic = impressions(edge)
    traffic.start()
    for pause in (0.3, 0.05, 0.4, 0.2, 0.1):
        time.sleep(pause)
        edge.kill()
        edge.start()
    time.sleep(0.3)
    answers = traffic.stop()
    assert len(answers.recorded) > 100
    assert_conserved(valkey.client(), answers)


def test_the_stream_server_is_killed_under_traffic(
    edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess
) -> None:
    publisher.publish(tracker("imp", 1))
    traffic = impressions(edge)
    traffic.start(pause=0.002)
    for pause in (0.5, 0.3, 0.6):
        time.sleep(pause)
        valkey.kill()
        time.sleep(0.2)
        valkey.start()
    time.sleep(0.3)
    answers = traffic.stop()
    assert not answers.in_doubt
    assert not answers.refused
    assert len(answers.recorded) > 100
    assert_conserved(valkey.client(), answers)


def test_an_emptied_stream_is_filled_again(edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess) -> None:
    publisher.publish(tracker("imp", 1))
    traffic = impressions(edge)
    traffic.start(limit=300)
    answers = traffic.wait()
    client = valkey.client()
    assert_conserved(client, answers)
    client.flushall()
    assert_conserved(client, answers)


def test_a_successor_ships_the_journal_of_a_dead_process(
    edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess
) -> None:
    publisher.publish(tracker("imp", 1))
    assert edge.get("/imptr?id=1&cachebuster=warm").headers["x-onebyone"] == "recorded"
    wait_until(lambda: shipped(valkey.client()), "the first event is shipped")
    valkey.kill()
    traffic = impressions(edge)
    traffic.start(limit=200)
    answers = traffic.wait()
    assert len(answers.recorded) == 200
    edge.kill()
    valkey.start()
    edge.start()
    answers.recorded.add("warm")
    assert_conserved(valkey.client(), answers)


def test_the_journal_of_a_dead_process_is_deleted_once_counted(
    valkey: ValkeyProcess, publisher: Publisher, tmp_path: Path
) -> None:
    publisher.publish(tracker("imp", 1))
    edge = EdgeProcess(tmp_path / "data", valkey.url, journal_overlap_seconds="0")
    edge.start()
    edge.get("/imptr?id=1")
    client = valkey.client()
    wait_until(lambda: shipped(client), "the event is shipped")
    edge.kill()
    (path,) = (tmp_path / "data" / "journal").glob("*.sqlite3")
    shard = int(path.stem, 16) % 4
    edge.start()
    wait_until(lambda: len(shipped(client)) == 1 and path.exists(), "adopted")
    client.hset(keys.progress_key(shard), path.stem, "1")
    wait_until(lambda: not path.exists(), "the journal is deleted")
    wait_until(lambda: not client.hexists(keys.progress_key(shard), path.stem), "its progress is deleted")
    edge.stop()
    edge.listener.close()


def test_a_resend_request_ships_again_after_the_committed_seq(
    edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess
) -> None:
    publisher.publish(tracker("imp", 1))
    client = valkey.client()
    for number in range(3):
        edge.get(f"/imptr?id=1&cachebuster={number}")
    wait_until(lambda: len(shipped(client)) == 3, "three events are shipped")
    (path,) = (edge.data_dir / "journal").glob("*.sqlite3")
    shard = int(path.stem, 16) % 4

    def seqs() -> list[int]:
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(keys.events_key(shard)))
        return [int(fields[b"s"]) for _, fields in entries]

    assert seqs() == [1, 2, 3]
    client.hset(keys.progress_key(shard), path.stem, "1")
    client.hset(keys.resend_key(shard), path.stem, "please")
    wait_until(lambda: seqs() == [1, 2, 3, 2, 3], "batches 2 and 3 are sent again")


def test_a_restored_report_store_gets_the_missing_batches_again(
    edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess
) -> None:
    """The reported progress is lower than before: a successor ships the batches in between again."""
    publisher.publish(tracker("imp", 1))
    client = valkey.client()
    for number in range(3):
        edge.get(f"/imptr?id=1&cachebuster={number}")
    wait_until(lambda: len(shipped(client)) == 3, "three events are shipped")
    (path,) = (edge.data_dir / "journal").glob("*.sqlite3")
    shard = int(path.stem, 16) % 4
    client.hset(keys.progress_key(shard), path.stem, "3")
    edge.kill()
    edge.start()
    # Until the successor has adopted the journal and read its progress.
    time.sleep(3)
    client.delete(keys.events_key(shard))
    client.hset(keys.progress_key(shard), path.stem, "1")
    wait_until(
        lambda: {event["cb"] for event in shipped(client)} == {"1", "2"}, "the missing batches are shipped again"
    )


@pytest.mark.parametrize("drained", [True, False], ids=["drained", "killed"])
def test_a_stopped_edge_leaves_nothing_unshipped(
    edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess, drained: bool
) -> None:
    publisher.publish(tracker("imp", 1))
    traffic = impressions(edge)
    traffic.start(limit=50)
    answers = traffic.wait()
    if drained:
        assert edge.stop() == 0
    else:
        edge.kill()
        edge.start()
    assert_conserved(valkey.client(), answers)


def test_requests_in_progress_at_sigterm_are_answered(
    edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess
) -> None:
    publisher.publish(tracker("imp", 1))
    traffic = impressions(edge)
    traffic.start()
    time.sleep(0.3)
    assert edge.stop() == 0
    edge.start()
    time.sleep(0.2)
    answers = traffic.stop()
    assert not answers.refused
    assert_conserved(valkey.client(), answers)


@pytest.mark.parametrize("http", ["fast", "asgi"])
def test_responses_during_a_drain_close_the_connection(
    valkey: ValkeyProcess, publisher: Publisher, tmp_path: Path, http: str
) -> None:
    publisher.publish(tracker("imp", 1))
    edge = EdgeProcess(tmp_path / "data", valkey.url, drain_seconds="2", edge_http=http)
    edge.start()
    path = b"/imptr?id=1 HTTP/1.1\r\nHost: x\r\n\r\n"
    assert edge.get("/imptr?id=1").headers.get("connection") is None
    assert edge.process is not None
    edge.process.send_signal(signal.SIGTERM)
    wait_until(lambda: edge.get("/readyz").status_code == 503, "the edge is draining")
    for method in (b"GET ", b"HEAD "):
        # Read until the edge closes the connection.
        assert edge.raw(method + path).lower().count(b"\r\nconnection: close\r\n") == 1
    assert edge.stop() == 0
    edge.listener.close()


def test_an_edge_that_starts_on_a_full_disk_refuses_until_there_is_room(
    valkey: ValkeyProcess, publisher: Publisher, small_disk: Path
) -> None:
    publisher.publish(tracker("imp", 1), tracker("clk", 1, click_url="https://landing.example/"))
    edge = EdgeProcess(small_disk / "data", valkey.url)
    edge.start()
    assert edge.get("/imptr?id=1&cachebuster=before").headers["x-onebyone"] == "recorded"
    edge.stop()
    ballast = fill(small_disk)
    edge.start(wait=False)
    ready = wait_until(lambda: edge.get("/readyz"), "it listens")
    assert (ready.status_code, ready.json()["checks"]["journal"]) == (503, False)
    sink = edge.get("/sinkz")
    assert (sink.status_code, sink.json()["journal_takes_events"]) == (503, False)
    impression = edge.get("/imptr?id=1&t=2&cachebuster=refused")
    assert (impression.status_code, len(impression.content)) == (503, 43)
    click = edge.get("/clktr?id=1&cachebuster=refused")
    assert (click.status_code, click.headers["location"]) == (302, "https://landing.example/")
    assert impression.headers["x-onebyone"] == click.headers["x-onebyone"] == "ignored; reason=journal"
    assert edge.process is not None
    pid = edge.process.pid
    # Failed attempts leave no file, so that retrying never fills the disk.
    assert len(list((small_disk / "data" / "journal").glob("*.lock"))) <= 2
    ballast.unlink()
    wait_until(lambda: edge.get("/imptr?id=1&cachebuster=after").headers["x-onebyone"] == "recorded", "recording")
    wait_until(lambda: edge.get("/sinkz").status_code == edge.get("/readyz").status_code == 200, "the edge is healthy")
    assert edge.process.pid == pid
    wait_until(lambda: {"before", "after"} <= {event["cb"] for event in shipped(valkey.client())}, "both are shipped")
    assert "refused" not in {event["cb"] for event in shipped(valkey.client())}
    assert edge.stop() == 0
    edge.listener.close()


def test_a_full_disk_is_reported_until_there_is_room(
    valkey: ValkeyProcess, publisher: Publisher, tmp_path: Path, small_disk: Path
) -> None:
    publisher.publish(tracker("imp", 1), tracker("clk", 1, click_url="https://landing.example/"))
    edge = EdgeProcess(small_disk / "data", valkey.url)
    edge.start()
    ballast = fill(small_disk)
    wait_until(lambda: edge.get("/imptr?id=1").status_code == 503, "the full disk is noticed", every=0)
    impression = edge.get("/imptr?id=1&t=2")
    click = edge.get("/clktr?id=1")
    assert (impression.headers["x-onebyone"], len(impression.content)) == ("ignored; reason=journal", 43)
    assert (click.status_code, click.headers["location"]) == (302, "https://landing.example/")
    assert click.headers["x-onebyone"] == "ignored; reason=journal"
    ready = edge.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]["journal"]) == (503, False)
    assert "full" in ready.json()["problems"]["journal"] or "space" in ready.json()["problems"]["journal"]
    ballast.unlink()
    wait_until(lambda: edge.get("/readyz").status_code == 200, "it is ready again, without an event")
    assert edge.get("/readyz").json()["problems"] == {}
    assert edge.get("/imptr?id=1").headers["x-onebyone"] == "recorded"
    edge.stop()
    edge.listener.close()


def test_every_process_notices_a_full_disk_without_traffic(
    valkey: ValkeyProcess, publisher: Publisher, small_disk: Path
) -> None:
    publisher.publish(tracker("imp", 1))
    edges = [EdgeProcess(small_disk / "data", valkey.url) for _ in range(2)]
    for edge in edges:
        edge.start()
    ballast = fill(small_disk)
    for edge in edges:
        wait_until(lambda edge=edge: edge.get("/readyz").status_code == 503, "it is not ready")  # type: ignore[misc]
        assert "No space left on device" in edge.get("/readyz").json()["problems"]["journal"]
        assert edge.get("/livez").status_code == 200
    ballast.unlink()
    for edge in edges:
        wait_until(lambda edge=edge: edge.get("/readyz").status_code == 200, "it is ready again")  # type: ignore[misc]
        edge.stop()
        edge.listener.close()


def test_a_process_whose_journal_folder_was_deleted_ends_once_all_is_shipped(
    edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess
) -> None:
    publisher.publish(tracker("imp", 1))
    assert edge.get("/imptr?id=1&cachebuster=first").headers["x-onebyone"] == "recorded"
    wait_until(lambda: shipped(valkey.client()), "the first event is shipped")
    valkey.kill()
    assert edge.get("/imptr?id=1&cachebuster=second").headers["x-onebyone"] == "recorded"
    shutil.rmtree(edge.data_dir / "journal")
    wait_until(lambda: edge.get("/readyz").status_code == 503, "it is not ready")
    assert "deleted or moved away" in edge.get("/readyz").json()["problems"]["journal"]
    assert edge.get("/imptr?id=1&cachebuster=refused").headers["x-onebyone"] == "ignored; reason=journal"
    assert edge.process is not None
    assert edge.process.poll() is None, "what the deleted files hold is still to be shipped"
    valkey.start()
    assert edge.process.wait(30) == 1
    edge.kill()
    assert {event["cb"] for event in shipped(valkey.client())} == {"first", "second"}
    edge.start()
    wait_until(lambda: edge.get("/imptr?id=1&cachebuster=third").headers["x-onebyone"] == "recorded", "recording again")
