"""What runs here: readiness and sink of the edge, the API and the counter on their ports."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from onebyone.check.finding import SET_CLOCKS, Finding
from onebyone.runtime.addresses import local_url
from onebyone.settings import Settings

ROLES = ("edge", "api", "counter")
"""The roles, each of which has a port, the counter only where that is not 0."""
LOOK = "look at its log"
REMEDIES: dict[str, str] = {
    "clock": SET_CLOCKS,
    "counter": "make sure that a counter runs and look at its log; nothing is lost",
    "missing": "`onebyone missing list`",
}
"""What to do about a problem that `/readyz` names; another one: `LOOK`."""
SECONDS = 5.0
"""For one answer; a healthy role answers within milliseconds."""


def check_roles(settings: Settings) -> list[Finding]:
    """Return the state of the roles. A port on which nobody listens is no fault: the role may run elsewhere."""
    return [
        finding
        for role, port in zip(ROLES, (settings.edge_port, settings.api_port, settings.counter_port), strict=True)
        if role != "counter" or port
        for finding in _check_role(role, local_url(settings.host, port), settings.ops_token.get_secret_value())
    ]


def _check_role(role: str, url: str, token: str) -> list[Finding]:
    try:
        ready, state = ask(f"{url}/readyz", token)
        sink, about = ask(f"{url}/sinkz", token)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return [Finding(role, f"nothing answers on {url}: {getattr(reason, 'strerror', None) or reason}", skipped=True)]
    findings = []
    problems: dict[str, str] = dict(state.get("problems", {}))
    if ready != 200:
        failing = [name for name, good in state.get("checks", {}).items() if not good]
        text = ", ".join(f"{name} ({problems.pop(name)})" if name in problems else name for name in failing)
        findings.append(
            Finding(role, f"is not ready: {text}", "look at its log; a draining process is not ready either")
        )
    findings += [Finding(role, f"{name}: {words}", REMEDIES.get(name, LOOK)) for name, words in problems.items()]
    if sink == 503:
        details = ", ".join(f"{name} {value}" for name, value in about.items() if name not in ("healthy", "process"))
        remedy = "nothing is lost; make sure that the stream server answers and that the counter runs"
        findings.append(Finding(role, f"its sink is red: {details}", remedy))
    seen = {200: ", its sink is green", 403: ", its sink is hidden without ONEBYONE_OPS_TOKEN"}.get(sink, "")
    return findings or [Finding(role, f"ready on {url}{seen}")]


def ask(url: str, token: str = "") -> tuple[int, dict[str, Any]]:
    """Return status and JSON of `/readyz` or `/sinkz`. Raise `OSError` or `ValueError` if nothing such answers."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error) if error.code == 503 else {}
