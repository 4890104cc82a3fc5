"""What runs: readiness and sink of edge and API on their ports."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

from onebyone.check.finding import Finding
from onebyone.settings import Settings

SECONDS = 5.0


def look(settings: Settings) -> list[Finding]:
    """A port that nobody listens on is no fault: the role may run elsewhere, or not at all."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104
    return [
        finding
        for role, port in (("edge", settings.edge_port), ("api", settings.api_port))
        for finding in _role(role, f"http://{host}:{port}")
    ]


def _role(role: str, url: str) -> list[Finding]:
    try:
        ready, checks = _ask(f"{url}/readyz")
        sink, about = _ask(f"{url}/sinkz")
    except (OSError, ValueError) as error:
        return [Finding(role, f"nothing to ask on {url}: {error}", skipped=True)]
    found = []
    if ready != 200:
        failing = ", ".join(name for name, good in checks.get("checks", {}).items() if not good)
        found.append(
            Finding(role, f"is not ready: {failing}", "look at its log; a process that drains is not ready either")
        )
    if sink == 503:
        told = ", ".join(f"{name} {value}" for name, value in about.items() if name not in ("healthy", "process"))
        remedy = "nothing is lost; see that the stream server answers and that the counter runs"
        found.append(Finding(role, f"its sink is red: {told}", remedy))
    return found or [Finding(role, f"ready on {url}" + (", its sink is green" if sink == 200 else ""))]


def _ask(url: str) -> tuple[int, dict[str, dict[str, bool]]]:
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error) if error.code == 503 else {}
