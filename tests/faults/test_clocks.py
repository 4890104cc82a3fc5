"""The wall clocks of the edges, the counter, the API and the stream server jump."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Experiment
from tests.faults.means.clock import MovedClock
from tests.faults.verdicts import fault
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.timeout(1200), pytest.mark.faults]

PROGRAMS = {"edge": "onebyone.edge", "counter": "onebyone.counter", "API": "onebyone.api", "valkey": "valkey-server"}
NAMES = {"valkey": "stream server"}


@pytest.mark.parametrize(
    "role",
    [
        pytest.param(
            role,
            marks=fault(
                18,
                f"clock of the {NAMES.get(role, role)} jumps by 1 h, back, and trembles",
                means="clock_gettime, gettimeofday and time replaced by a preloaded library",
            ),
        )
        for role in PROGRAMS
    ],
)
def test_a_clock_jumps(experiment: Experiment, tmp_path: Path, role: str) -> None:
    clock = MovedClock(tmp_path / "clock", PROGRAMS[role])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in clock.environment.items():
            patch.setenv(name, value)
        with experiment() as oracle:
            for _ in oracle.rounds():
                for pid in oracle.product.pids(role.lower()):
                    wait_until(lambda pid=pid: clock.reaches(pid), "the process has the moved clock")  # type: ignore[misc]
                for jump in (3600, 0, -3600, 1800, -1800):
                    clock.move(jump)
                    time.sleep(oracle.random.uniform(0.5, 1.5))
                for _ in range(40):
                    clock.move(oracle.random.uniform(-5, 5))
                    time.sleep(0.05)
                clock.move(oracle.random.choice((3600, -3600)))
                time.sleep(1)
    assert "LD_PRELOAD" not in os.environ
