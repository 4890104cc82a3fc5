"""Nothing that a test run started outlives it, however the run ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.process_guard import MARK, marked
from tests.support.product import command_line
from tests.support.tiers import starts_processes
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
START_SECONDS = 100.0
"""How long a run may take to start its servers, on a machine that is busy with other tests."""

pytestmark = pytest.mark.timeout(200)

CONFTEST = """
from tests.conftest import *
"""

HANGING = """
import os, subprocess, time
from pathlib import Path


def test_starts_servers_and_hangs(valkey, postgres_url):
    # Leaves its session and its parent.
    subprocess.run(["sh", "-c", "setsid sleep 600 &"], check=True)
    paused = subprocess.Popen(["sleep", "601"], start_new_session=True)
    os.kill(paused.pid, 19)
    Path(os.environ["STARTED"], str(os.getpid())).touch()
    time.sleep(600)
"""


class HangingRun:
    """A pytest run in `folder`, whose only test starts servers and hangs."""

    def __init__(self, folder: Path, workers: int) -> None:
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "test_hanging.py").write_text(HANGING)
        (folder / "pytest.ini").write_text("[pytest]\n")
        self._started = folder / "started"
        self._started.mkdir()
        self._mark = f"{os.environ[MARK]}/"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", str(workers), str(folder)]
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "STARTED": str(self._started)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def wait_started(self) -> int:
        """Wait until the servers run, and return the id of the process that runs the test."""
        files = wait_until(lambda: list(self._started.iterdir()), "the servers run", START_SECONDS)
        return int(files[0].name)

    def left(self) -> list[bytes]:
        """Return the command lines of all processes that the run has started and that still run."""
        return [command_line(pid) for pid in marked(self._mark)]


@pytest.fixture
@starts_processes
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HangingRun]:
    """A run with as many workers as the parameter says."""
    hanging = HangingRun(tmp_path, request.param)
    try:
        yield hanging
    finally:
        hanging.process.kill()
        hanging.process.wait()


@pytest.mark.parametrize(
    ("run", "number"),
    [(0, signal.SIGTERM), (1, signal.SIGTERM), (1, signal.SIGKILL)],
    ids=["one process, SIGTERM", "a worker, SIGTERM", "a worker, SIGKILL"],
    indirect=["run"],
)
def test_servers_end_with_a_run_that_a_signal_ends(run: HangingRun, number: signal.Signals) -> None:
    run.wait_started()
    servers = run.left()
    for name in (b"valkey", b"postgres", b"sleep\x00600", b"sleep\x00601"):
        assert any(name in line for line in servers), name
    run.process.send_signal(number)
    run.process.wait(30)
    wait_until(lambda: not run.left(), "nothing of the run is left")


@pytest.mark.parametrize("run", [1], ids=["a worker"], indirect=True)
def test_servers_end_with_a_worker_that_is_killed(run: HangingRun) -> None:
    worker = run.wait_started()
    assert worker != run.process.pid
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: not any(b"sleep" in line or b"postgres" in line for line in run.left()), "the servers end")
