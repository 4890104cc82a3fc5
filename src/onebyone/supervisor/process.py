"""Child processes on the event loop: started in sessions of their own and awaited without threads."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class Process:
    """One started child process; `ended` is set once it has ended and been collected."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self.pid = popen.pid
        self.ended = asyncio.Event()

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._popen.returncode

    @property
    def end(self) -> str:
        """How it ended: `exit code 1` or `signal SIGKILL`."""
        code = self._popen.returncode
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal; do nothing when the process has ended."""
        self._popen.send_signal(signum)

    def collect(self) -> bool:
        """Return whether it has ended, and set `ended` then."""
        if self._popen.poll() is None:
            return False
        self.ended.set()
        return True


class ProcessTable:
    """Starts child processes and learns of their end by SIGCHLD; create one for a running loop."""

    def __init__(self) -> None:
        self._running: set[Process] = set()
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._collect)

    def start(
        self,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        output: int | None = None,
        in_child: Callable[[], None] | None = None,
    ) -> Process:
        """Start a child in a session of its own, so that Ctrl-C reaches the supervisor only.

        Raise `OSError` if it cannot be started.
        """
        process = Process(
            subprocess.Popen(  # noqa: S603
                command,
                env=environment,
                pass_fds=pass_fds,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                preexec_fn=in_child,
                start_new_session=True,
            )
        )
        self._running.add(process)
        return process

    def _collect(self) -> None:
        self._running = {process for process in self._running if not process.collect()}


def child_environment(**settings: object) -> dict[str, str]:
    """Return this process's environment with `ONEBYONE_<NAME>` for each of the settings, named in lower case."""
    own = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    return own | {f"ONEBYONE_{name.upper()}": str(value) for name, value in settings.items()}
