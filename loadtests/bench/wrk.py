"""Run wrk, which sends as many requests as a server answers, on one thread."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = Path(__file__).with_name("wrk.lua")
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class Failed(Exception):
    """Raised with the output of wrk unless every answer was good."""


@dataclass(frozen=True)
class Answers:
    """The figures of a run."""

    requests: int
    rate: float
    """Answers per second."""
    p50_ms: float
    p99_ms: float
    errors: int
    """Failed connections, reads and writes, and answers that took over two seconds."""


def reason_missing() -> str | None:
    """Return why wrk cannot run on this machine, or None."""
    return None if shutil.which("wrk") else "wrk is not installed (wrk)"


def run_wrk(url: str, requests: Path, connections: int, seconds: float) -> Answers:
    """Send the requests of the file in rotation, one at a time on each connection. Raise `Failed`."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", "-s", str(_SCRIPT)]
    return parse_output(
        subprocess.run([*command, url, "--", str(requests)], capture_output=True, text=True, check=True).stdout
    )


def parse_output(output: str) -> Answers:
    """Return the figures in the output of wrk. Raise `Failed`."""
    if "Non-2xx" in output:
        raise Failed(output)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    return Answers(
        int(_figure(r"(\d+) requests in", output)),
        _figure(r"Requests/sec: +([\d.]+)", output),
        _milliseconds("50%", output),
        _milliseconds("99%", output),
        sum(map(int, errors.groups())) if errors else 0,
    )


def _figure(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise Failed(text)
    return float(found[1])


def _milliseconds(share: str, text: str) -> float:
    found = re.search(rf"^ +{share} +([\d.]+)(us|ms|s|m)$", text, re.MULTILINE)
    if found is None:
        raise Failed(text)
    return float(found[1]) * _MILLISECONDS[found[2]]
