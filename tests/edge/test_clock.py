"""An edge whose clock is off, or jumps, says so in `/readyz`, a metric and `onebyone check`, and records on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from onebyone.check import clocks, deployment
from onebyone.contracts import keys
from onebyone.settings import Settings
from tests.edge.edge_process import EdgeProcess, Publisher, shipped, tracker
from tests.faults.means.clock import MovedClock
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import wait_until

DAY = 86_400


def metric(edge: EdgeProcess, name: str) -> float:
    """Return the value of a metric without labels."""
    lines = edge.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


@pytest.mark.parametrize("days", [1, -40])
def test_a_clock_that_is_off_and_set_right(
    valkey: ValkeyProcess, publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    publisher.publish(tracker("imp", 1))
    clock = MovedClock(tmp_path / "clock", "onebyone.edge")
    clock.move(days * DAY)
    edge = EdgeProcess(tmp_path / "data", valkey.url)
    edge.environment |= clock.environment
    edge.start()

    def problem() -> str:
        state = edge.get("/readyz")
        assert state.status_code == 200
        return str(state.json()["problems"].get("clock", ""))

    direction = "fast" if days > 0 else "slow"
    wait_until(lambda: f"s {direction} compared with the stream server's" in problem(), "the clock is off")
    assert edge.get("/readyz").json()["clock_skew_seconds"] == pytest.approx(days * DAY, abs=5)
    assert edge.get("/imptr?id=1").headers["x-onebyone"] == "recorded"
    assert metric(edge, "onebyone_edge_clock_skew_seconds") == pytest.approx(abs(days * DAY), abs=5)
    wait_until(lambda: shipped(valkey.client()), "shipped")
    entries: list[Any] = []
    for shard in range(4):
        entries += cast("list[Any]", valkey.client().xrange(keys.events_key(shard)))
    ((entry_id, fields),) = entries
    arrived = int(entry_id.partition(b"-")[0])
    assert [round((int(fields[name]) - arrived) / 1000 / DAY) for name in (b"t", b"w")] == [days, days]
    (found,) = clocks.check_clocks(valkey.url, 2.0)
    assert (found.wrong, direction in found.text) == (True, True)
    monkeypatch.setattr(deployment, "local_url", lambda *_: edge.url)
    (named, *_) = (finding for finding in deployment.check_roles(Settings()) if finding.wrong)
    assert named.text.startswith("clock: the clock of this machine is ")
    clock.move(0)
    wait_until(lambda: problem().startswith("the clock of this machine jumped by "), "it was set right, by a jump")
    assert metric(edge, "onebyone_edge_clock_jumps_total") == 1
    wait_until(lambda: not clocks.check_clocks(valkey.url, 2.0)[0].wrong, "the check agrees")
    assert edge.stop() == 0
    edge.listener.close()
