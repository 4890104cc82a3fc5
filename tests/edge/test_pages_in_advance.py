"""What Chromium loads before anybody looks, and what it asks for again afterwards, with tags of another site.

No DevTools are attached, because with them Chromium renders no page in advance: the pages report what happens.
"""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onebyone.contracts.configuration import MemberRecord
from tests.edge.edge_process import EdgeProcess, Publisher, shipped, tracker
from tests.support import chromium
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import wait_until

pytestmark = [chromium.required, pytest.mark.processes]

WAIT_FOR_GO = """<script>
    const told = setInterval(async () => {
        if ((await (await fetch("/told")).text()) === "go") { clearInterval(told); go(); }
    }, 100);
</script>"""


class Site:
    """The publisher's pages, by path; `/told` says `go` once the test does."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.requested: list[str] = []
        self.go = False
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                site.requested.append(path)
                page = ("go" if site.go else "wait") if path == "/told" else site.pages.get(path, "<h1>Here</h1>")
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(page.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://localhost:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop the server."""
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


def rules(action: str, url: str) -> str:
    text = json.dumps({action: [{"source": "list", "urls": [url], "eagerness": "immediate"}]})
    return f'<script type="speculationrules">{text}</script>'


def by_cachebuster(valkey: ValkeyProcess) -> dict[str, list[str]]:
    """Return the reasons of the events of each cachebuster, in order; empty: counted."""
    found: dict[str, list[str]] = {}
    for event in shipped(valkey.client()):
        found.setdefault(event["cb"], []).append(event.get("reason", ""))
    return found


def test_a_prefetched_click_is_counted_when_somebody_clicks(
    edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess, site: Site, tmp_path: Path
) -> None:
    publisher.publish(MemberRecord(7), tracker("clk", 1, click_url=f"{site.url}/landing"))
    click = f"{edge.url}/clktr?id=1&cachebuster=click"
    site.pages["/"] = f"""<!doctype html><title>News</title>{rules("prefetch", click)}
        <a id="ad" href="{click}">Book now</a>
        <script>function go() {{ document.getElementById("ad").click(); }}</script>{WAIT_FOR_GO}"""
    with chromium.watched_from_outside(tmp_path / "profile", f"{site.url}/"):
        wait_until(lambda: by_cachebuster(valkey) == {"click": ["prefetch"]}, "the click is prefetched", 60)
        assert "/landing" not in site.requested
        site.go = True
        wait_until(lambda: "/landing" in site.requested, "the person arrives", 60)
        wait_until(lambda: by_cachebuster(valkey) == {"click": ["prefetch", ""]}, "the click is counted", 60)
    assert site.requested.count("/landing") == 1


def test_a_prerendered_page_asks_once_and_a_frame_of_another_site_when_somebody_looks(
    edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess, site: Site, tmp_path: Path
) -> None:
    publisher.publish(tracker("imp", 531))
    tag = f"{edge.url}/imptr?id=531"
    site.pages["/"] = f"""<!doctype html><title>News</title>{rules("prerender", "/next")}
        <script>function go() {{ location.href = "/next"; }}</script>{WAIT_FOR_GO}"""
    site.pages["/next"] = f"""<!doctype html><title>Next</title>
        <img src="{tag}&t=2&cachebuster=image"><script src="{tag}&t=1&cachebuster=script"></script>
        <iframe src="{tag}&cachebuster=frame"></iframe>
        <script>
            if (!document.prerendering) fetch("/rendered-late");
            document.addEventListener("prerenderingchange", () => fetch("/activated"));
        </script>"""
    with chromium.watched_from_outside(tmp_path / "profile", f"{site.url}/"):
        early = {"image": ["prerender"], "script": ["prerender"]}
        wait_until(lambda: by_cachebuster(valkey) == early, "the page is rendered in advance", 60)
        site.go = True
        wait_until(lambda: "/activated" in site.requested, "the page is shown", 60)
        wait_until(lambda: by_cachebuster(valkey) == {**early, "frame": [""]}, "the frame is counted", 60)
    assert "/rendered-late" not in site.requested
