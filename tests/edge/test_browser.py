"""Tags in a page of another site, in a real Chromium: it loads the image, runs the script and follows the click."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Request

from onebyone.contracts.configuration import MemberRecord
from tests.edge.edge_process import EdgeProcess, Publisher, tracker, wait_for_events
from tests.support import chromium
from tests.support.tiers import starts_processes
from tests.support.valkey import ValkeyProcess

pytestmark = chromium.required


class Site:
    """The publisher's page and the advertiser's landing page, on another origin than the edge."""

    def __init__(self) -> None:
        self.page = b""
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = b"<h1>You have arrived</h1>" if self.path.startswith("/landing") else site.page
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                # The strictest embedding policy that a publisher may have.
                self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
                self.end_headers()
                self.wfile.write(body)

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


@pytest.fixture
@starts_processes
def page(tmp_path: Path) -> Iterator[Page]:
    with chromium.opened_page(tmp_path / "profile") as opened:
        yield opened


def test_tags_in_a_page(
    edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess, site: Site, page: Page, tmp_path: Path
) -> None:
    landing = f"{site.url}/landing?a=1&b=2"
    publisher.publish(
        MemberRecord(7, click_hosts=("localhost",)),
        tracker("imp", 531),
        tracker("imp", 532),
        tracker("clk", 1, click_url=landing),
    )
    site.page = f"""<!doctype html><title>News</title><p>A page with three tags</p>
        <img id="tag" src="{edge.url}/imptr?id=531&t=2&cachebuster=img" width="1" height="1">
        <script src="{edge.url}/imptr?id=532&cachebuster=script"></script>
        <a id="ad" href="{edge.url}/clktrb?id=1&cachebuster=click">Book now</a>""".encode()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))

    def failed(request: Request) -> None:
        problems.append(f"{request.url}: {request.failure}")

    page.on("requestfailed", failed)
    page.goto(site.url, wait_until="load")
    assert page.evaluate("document.getElementById('tag').naturalWidth") == 1
    page.screenshot(path=str(tmp_path / "page.png"))
    page.click("#ad")
    page.wait_for_url("**/landing*")
    assert page.url == landing
    assert page.text_content("h1") == "You have arrived"
    assert problems == []
    events = {event["cb"]: event for event in wait_for_events(valkey.client(), 3)}
    assert {name: event["kind"] for name, event in events.items()} == {"img": "imp", "script": "imp", "click": "clk"}
    assert all(event["ref"].startswith(site.url) for event in events.values())
    assert all("Chrome" in event["ua"] for event in events.values())


def test_a_repeated_tag_with_the_same_cachebuster_is_two_events(
    edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess, site: Site, page: Page
) -> None:
    publisher.publish(tracker("imp", 531))
    site.page = f'<!doctype html><title>News</title><img src="{edge.url}/imptr?id=531&cachebuster=same">'.encode()
    page.goto(site.url, wait_until="load")
    page.reload(wait_until="load")
    events = wait_for_events(valkey.client(), 2)
    assert [event["cb"] for event in events] == ["same", "same"]


def test_the_notice_page_waits_for_a_click(
    edge: EdgeProcess, publisher: Publisher, site: Site, page: Page, tmp_path: Path
) -> None:
    publisher.publish(MemberRecord(7), tracker("clk", 2))
    target = f"{site.url}/landing?<b>bold"
    page.goto(f"{edge.url}/clktr?id=2&redir={target}")
    assert page.url.startswith(edge.url)
    page.screenshot(path=str(tmp_path / "notice.png"))
    page.click("a")
    page.wait_for_url("**/landing*")
