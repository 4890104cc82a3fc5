"""End every process that a test run has started when the run ends, however it ends.

Fixtures are not torn down in a process that SIGTERM or SIGKILL ends. So each pytest process, and each worker of
pytest-xdist, has a guard: a small process that waits until the other end of a pipe is closed. Every process that a
pytest process starts, directly or not, inherits a mark in its environment. The guard finds it by that mark, whatever
its session, user or parent is by then. A worker's mark begins with the mark of its controller, so the controller's
guard finds every process of the run.

A program that overwrites its environment to show a title, as Valkey does, must be kept from it; `valkey.py` does that.
The measuring commands (`python -m loadtests.bench` and the like) start a guard too.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import sys
import time
from pathlib import Path

MARK = "ONEBYONE_TEST_RUN"
GRACE_SECONDS = 3.0
"""From SIGTERM to SIGKILL: PostgreSQL removes its shared memory in that time, and a product drains."""
_POLL_SECONDS = 0.05

_lifelines: list[int] = []
"""The pipe to the guard of this process, which is closed by the end of the process and by nothing else."""


def begin() -> None:
    """Start this process's guard; do nothing where it has one, or where there is no `/proc`."""
    if _lifelines or not Path("/proc/self/environ").exists():
        return
    unmarked = {name: value for name, value in os.environ.items() if name != MARK}
    os.environ[MARK] = f"{os.environ.get(MARK, '')}/{secrets.token_hex(8)}"
    command = [sys.executable, "-I", "-S", __file__, os.environ[MARK]]
    read_end, write_end = os.pipe()
    null = os.open(os.devnull, os.O_WRONLY)
    actions = [(os.POSIX_SPAWN_DUP2, read_end, 0), (os.POSIX_SPAWN_DUP2, null, 1)]
    # In a session of its own, where a signal to the process group of the run does not reach it. Not a `Popen`, which
    # warns at exit of a process that still runs: this one ends after its parent.
    os.posix_spawn(sys.executable, command, unmarked, file_actions=actions, setsid=True)
    os.close(read_end)
    os.close(null)
    _lifelines.append(write_end)


def marked(mark: str) -> list[int]:
    """Return the ids of the processes whose mark begins with `mark`."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _has_mark(entry, mark)]


def _has_mark(process: Path, mark: str) -> bool:
    start = f"{MARK}={mark}".encode()
    try:
        return any(line.startswith(start) for line in (process / "environ").read_bytes().split(b"\0"))
    except OSError:
        # It has ended, or belongs to another user.
        return False


def end_all(mark: str) -> None:
    """Send SIGTERM to the processes of a mark, and SIGKILL to those that still run after `GRACE_SECONDS`."""
    told: set[int] = set()
    deadline = time.monotonic() + GRACE_SECONDS
    while pids := marked(mark):
        late = time.monotonic() > deadline
        for pid in pids:
            if late or pid not in told:
                _signal(pid, mark, signal.SIGKILL if late else signal.SIGTERM)
                told.add(pid)
        time.sleep(_POLL_SECONDS)


def _signal(pid: int, mark: str, signum: signal.Signals) -> None:
    # The descriptor pins the process: its id could belong to another one by now.
    with contextlib.suppress(OSError):
        pinned = os.pidfd_open(pid)
        try:
            if _has_mark(Path(f"/proc/{pid}"), mark):
                signal.pidfd_send_signal(pinned, signum)
        finally:
            os.close(pinned)


def main(mark: str) -> None:
    """Wait until the guarded process has ended, then end the processes that it has left."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    while os.read(0, 1):
        pass
    end_all(mark)


if __name__ == "__main__":
    main(sys.argv[1])
