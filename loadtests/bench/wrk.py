"""wrk: as many requests as a server answers, on one thread."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = Path(__file__).with_name("wrk.lua")
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class Failed(Exception):
    """What wrk printed, where it was not a run of good answers."""


@dataclass(frozen=True)
class Answers:
    """What wrk counted."""

    requests: int
    rate: float
    """Answers a second."""
    p50_ms: float
    p99_ms: float
    errors: int
    """Connections that failed, reads and writes that failed, answers that took over two seconds."""


def missing() -> str | None:
    """Why it cannot be used."""
    return None if shutil.which("wrk") else "wrk is not installed (wrk)"


def run(url: str, requests: Path, connections: int, seconds: float) -> Answers:
    """Sends the file's requests in rotation, each connection one at a time. Raises `Failed`."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", "-s", str(_SCRIPT)]
    return read(subprocess.run([*command, url, "--", str(requests)], capture_output=True, text=True, check=True).stdout)


def read(output: str) -> Answers:
    """The figures in what wrk prints."""
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
