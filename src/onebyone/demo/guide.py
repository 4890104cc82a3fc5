"""What the demo prints for a person: the tags, and the lines to paste for a first report."""

from __future__ import annotations

import json
from collections.abc import Sequence

from onebyone.contracts.tag_urls import click_url, image_url, script_url
from onebyone.demo.sample import Tracker
from onebyone.runtime.terminal import printable

REPORT = {
    "report_type": "network_analytics",
    "report_interval": "lifetime",
    "columns": ["advertiser_name", "line_item_name", "external_impression", "external_click", "cost"],
}

_COST = "ancost=[ANCOST]"


def render_tag(tracker: Tracker, edge_url: str) -> str:
    """Return what a trafficker pastes into an ad server; of a click tracker, the URL to link to."""
    if tracker.kind == "clk":
        return f"{click_url(edge_url, tracker.id)}&{_COST}"
    image = f'<img src="{image_url(edge_url, tracker.id)}&{_COST}" width="1" height="1" />'
    script = f'<script src="{script_url(edge_url, tracker.id)}&{_COST}" type="text/javascript"></script>'
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
