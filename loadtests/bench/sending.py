"""Runs the sender (`sender.py`) in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from loadtests.bench.conditions import Server

ROOT = Path(__file__).parents[2]
RECORDED = "x-onebyone: recorded"


def send(server: Server, count: int, connections: int, rate: float | None = None, mark: str = "") -> dict[str, float]:
    """What the sender prints."""
    command = [sys.executable, "-m", "loadtests.bench.sender", server.url.removeprefix("http://"), str(server.requests)]
    command += ["--count", str(count), "--connections", str(connections), "--mark", mark]
    if rate is not None:
        command += ["--rate", str(rate)]
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(ran.stdout)
    return found
