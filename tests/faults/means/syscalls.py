"""System calls that fail or are delayed, by strace's fault injection."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.debian_packages import needs
from tests.support.waiting import wait_until


@contextlib.contextmanager
def injected(pids: list[int], fault: str) -> Iterator[None]:
    """Inject a fault, as in `strace -e inject=...`, into running processes inside the block."""
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={fault}"]
    try:
        tracer = subprocess.Popen([*command, *(f"--attach={pid}" for pid in pids)], stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        pytest.skip(needs("strace"))
    try:
        wait_until(lambda: all(_traced(pid) for pid in pids), "strace is attached")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(20)


def _traced(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()
    return True
