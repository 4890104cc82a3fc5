"""Run the sender (`sender.py`) in a separate process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from loadtests.bench.conditions import Server

ROOT = Path(__file__).parents[2]
RECORDED = "x-onebyone: recorded"


def send(server: Server, count: int, connections: int, rate: float | None = None, mark: str = "") -> dict[str, float]:
    """Send `count` requests and return the figures that the sender prints."""
    command = [sys.executable, "-m", "loadtests.bench.sender", server.url.removeprefix("http://"), str(server.requests)]
    command += ["--count", str(count), "--connections", str(connections), "--mark", mark]
    if rate is not None:
        command += ["--rate", str(rate)]
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, float] = json.loads(ran.stdout)
    return result
