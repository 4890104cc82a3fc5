"""What the demo prints for a person: the tags, and the lines to paste for a first report."""

from __future__ import annotations

import json
from collections.abc import Sequence

from onebyone.demo.sample import Tracker
from onebyone.runtime.terminal import printable

REPORT = {
    "report_type": "network_analytics",
    "report_interval": "lifetime",
    "columns": ["advertiser_name", "line_item_name", "external_impression", "external_click", "cost"],
}


def render_tag(tracker: Tracker, edge_url: str) -> str:
    """Return what a trafficker pastes into an ad server; of a click tracker, the URL to link to."""
    macros = "cachebuster=[CACHEBUSTER]&ancost=[ANCOST]"
    if tracker.kind == "clk":
        return f"{edge_url}/clktr?id={tracker.id}&{macros}"
    image = f'<img src="{edge_url}/imptr?id={tracker.id}&t=2&{macros}" width="1" height="1" />'
    script = f'<script src="{edge_url}/imptr?id={tracker.id}&t=1&{macros}" type="text/javascript"></script>'
    return f"{image}\n{script}"


def render_guide(trackers: Sequence[Tracker], edge_url: str, api_url: str, username: str, password: str) -> str:
    """Return the whole guide. Its shell lines quote the password, which must hold no single quote."""
    login = json.dumps({"auth": {"username": username, "password": password}})
    pick = 'python3 -c \'import json, sys; print(json.load(sys.stdin)["response"]["{}"])\''
    session = '-H "Authorization: $TOKEN"'
    tags = "\n".join(f"\n# {printable(tracker.name)}\n{render_tag(tracker, edge_url)}" for tracker in trackers)
    return f"""The demo sends traffic to six sample trackers. Their tags:
{tags}

Log in to {api_url} as {username} with the password {password}

A report, to paste into a shell:

TOKEN=$(curl -s {api_url}/auth -d '{login}' | {pick.format("token")})
REPORT=$(curl -s {session} {api_url}/report -d '{json.dumps({"report": REPORT})}' | {pick.format("report_id")})
sleep 1; curl -s {session} "{api_url}/report-download?id=$REPORT"
"""
