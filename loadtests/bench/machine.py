"""The machine: which cores serve and which load, how busy others keep it, and its description."""

from __future__ import annotations

import os
import platform
import re
import resource
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from loadtests.bench.processes import cpu_seconds, kernel_seconds

_TICKS = os.sysconf("SC_CLK_TCK")
_LOOK_SECONDS = 0.2
QUIET_CORES = 0.1
"""Less than this many cores in use: nobody else is there."""


class Cores:
    """One core for the server, the others for what loads it; nothing is pinned where there is only one."""

    def __init__(self) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self.server = {cores[0]}
        self.load = set(cores[1:]) or {cores[0]}

    def serves(self, pid: int) -> None:
        """Pins a server, all its threads."""
        self._pin(pid, self.server)

    def loads(self, pid: int) -> None:
        """Pins what stands on the other side."""
        self._pin(pid, self.load)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """This process is on the side of the load, and what it starts: a child inherits its parent's cores."""
        own = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.load)
        try:
            yield
        finally:
            os.sched_setaffinity(0, own)

    def _pin(self, pid: int, cores: set[int]) -> None:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), cores)


class Quiet:
    """Waits until the machine is nearly idle, but for a bounded time."""

    def __init__(self, at_once: float, in_all: float) -> None:
        """The most seconds of one wait, and of all."""
        self._at_once = at_once
        self._left = in_all

    def wait(self) -> None:
        """Returns when others use next to nothing, or the time is over."""
        began = time.monotonic()
        end = began + min(self._at_once, self._left)
        while time.monotonic() < end:
            others = Others()
            time.sleep(_LOOK_SECONDS)
            if others.cores() < QUIET_CORES:
                break
        self._left = max(0.0, self._left - (time.monotonic() - began))


class Others:
    """Watches how much of the machine is used by processes that are not the measurement's."""

    def __init__(self, *own: int) -> None:
        """Besides this process and those children that it waits for, the processes `own` are the measurement's; the
        kernel's own threads, which work for them, are nobody's."""
        self._own = own
        self._began = time.monotonic()
        self._then = _busy_seconds() - self._ours()

    def cores(self) -> float:
        """Cores in use by others since then, on average, with those that the host gave to other guests."""
        used = _busy_seconds() - self._ours() - self._then
        return max(0.0, used / (time.monotonic() - self._began))

    def _ours(self) -> float:
        usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        kernel = sum(kernel_seconds().values())
        return sum(usage.ru_utime + usage.ru_stime for usage in usages) + sum(map(cpu_seconds, self._own)) + kernel


def _busy_seconds() -> float:
    """Time that all cores were not idle, or were not this machine's, since it started."""
    user, nice, system, _idle, _wait, irq, softirq, stolen = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + stolen) / _TICKS


def description() -> dict[str, str]:
    """What the figures depend on."""
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": f"{platform.machine()}, {model[1] if model else 'unnamed'}",
        "kernel": platform.release(),
        "Python": _python(),
        **{name: version(name) for name in ("uvicorn", "uvloop")},
        "nginx": _printed("/usr/sbin/nginx", "-v"),
        "wrk": _printed("wrk", "-v"),
    }


def _python() -> str:
    """Version and build of this interpreter; what Debian's tells of its build is another one's."""
    if sys.base_prefix == "/usr":
        return f"{platform.python_version()} (the system's)"
    optimised = "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS"))
    return f"{platform.python_version()} (built {'with' if optimised else 'without'} optimisation)"


def _printed(*command: str) -> str:
    """The version that a program prints of itself."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except OSError:
        return "none"
    found = re.search(r"\d+\.\d+[\w.]*", ran.stdout + ran.stderr)
    return found[0] if found else "unknown"
