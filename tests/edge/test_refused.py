"""Servers that refuse the edge: it starts where it has a configuration on disk, and records."""

from __future__ import annotations

from tests.edge.edge_process import EdgeProcess, Publisher, tracker
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import wait_until


def test_an_edge_that_knows_its_trackers_starts_and_records(
    edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess
) -> None:
    publisher.publish(tracker("imp", 1))
    assert edge.get("/imptr?id=1").headers["x-onebyone"] == "recorded"
    edge.stop()
    with valkey.client() as client:
        client.config_set("requirepass", "Right-Passw0rd")
    edge.start()
    wait_until(lambda: edge.get("/imptr?id=1").headers["x-onebyone"] == "recorded", "recorded")
