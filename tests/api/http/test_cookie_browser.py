"""The session cookie in a real Chromium, on plain HTTP: pages of other hosts and ports neither use nor replace it."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.support import chromium
from tests.support.api_harness import PASSWORD
from tests.support.running_api import running_api
from tests.support.tiers import starts_processes

pytestmark = chromium.required

HOST = "api.shop.test"
ATTACKERS = ("evil.shop.test", "evil.test", HOST)
"""A sister of the API's host, which `SameSite=Strict` lets in; a foreign one; and another port of the same host."""
LOGIN = {"auth": {"username": "admin", "password": PASSWORD}}
CALL = """async ([method, path, body, headers]) => {
    const options = {method, headers: headers || {}, body: body === null ? undefined : body};
    return (await (await fetch(path, options)).json()).response;
}"""
FORM = """<form id="form" method="post" enctype="{kind}" action="{url}" target="frame">
<input name='{name}' value='{value}'></form><iframe name="frame"></iframe>"""


@contextmanager
def attacker_site() -> Iterator[tuple[Any, int]]:
    """Yield a server whose `page` attribute is what it shows, and its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(self.server.page.encode())  # type: ignore[attr-defined]

        def log_message(self, *_: Any) -> None:
            pass

    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.page = ""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server, server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture
@starts_processes
def page(tmp_path: Path) -> Iterator[Page]:
    with chromium.opened_page(tmp_path / "profile", hosts="*.test") as opened:
        yield opened


def call(page: Page, method: str, path: str, body: object = None, **headers: str) -> dict[str, Any]:
    """Return the answer to a fetch of the page."""
    sent = body if body is None or isinstance(body, str) else json.dumps(body)
    answer: dict[str, Any] = page.evaluate(CALL, [method, path, sent, headers])
    return answer


def submit(page: Page, url: str, body: object) -> None:
    """Submit the body as a form of type text/plain, whose only `=` is inside an ignored key."""
    text = json.dumps(body)
    name, value = text[:-1] + ',"x":"', '"}'
    page.set_content(FORM.format(kind="text/plain", url=url, name=name, value=value))
    with page.expect_response(url):
        page.evaluate("document.getElementById('form').submit()")


def test_no_other_page_uses_or_replaces_the_cookie(page: Page, tmp_path: Path) -> None:
    with running_api(tmp_path) as local, attacker_site() as (attacker, attacker_port):
        api = f"http://{HOST}:{local.rpartition(':')[2]}"
        page.goto(f"{api}/docs")
        assert call(page, "POST", "/auth", LOGIN, **{"Content-Type": "application/json"})["status"] == "OK"
        made = {"user": {"username": "mallory", "password": PASSWORD}}
        json_type = {"Content-Type": "application/json"}
        assert call(page, "POST", "/user", made, **json_type)["status"] == "OK"
        assert call(page, "POST", "/advertiser", {"advertiser": {"name": "own"}}, **json_type)["status"] == "OK"
        assert call(page, "POST", "/advertiser", {"advertiser": {"name": "text"}})["error_id"] == "UNAUTH"
        mallory = {"auth": {"username": "mallory", "password": PASSWORD}}
        for host in ATTACKERS:
            attacker.page = f"<!doctype html><title>Win</title><img src='{api}/member'>"
            page.goto(f"http://{host}:{attacker_port}/", wait_until="load")
            for kind in ("text/plain", "application/x-www-form-urlencoded", None):
                for path, body in (("/advertiser", {"advertiser": {"name": "stolen"}}), ("/auth", mallory)):
                    page.evaluate(
                        """async ([url, body, kind]) => {
                            const content = kind === null ? new Blob([body]) : new Blob([body], {type: kind});
                            for (const referrerPolicy of ['no-referrer', 'unsafe-url']) {
                                const options = {method: 'POST', mode: 'no-cors', credentials: 'include'};
                                await fetch(url, {...options, referrerPolicy, body: content});
                            }
                        }""",
                        [api + path, json.dumps(body), kind],
                    )
            submit(page, f"{api}/advertiser", {"advertiser": {"name": "stolen"}})
            submit(page, f"{api}/auth", mallory)
            submit(page, f"{api}/auth", {"auth": {"switch_to_user": 1}})
            page.evaluate(
                "url => fetch(url, {method: 'DELETE', credentials: 'include'}).catch(() => null)", f"{api}/auth"
            )
        page.goto(f"{api}/docs")
        names = [advertiser["name"] for advertiser in call(page, "GET", "/advertiser")["advertisers"]]
        assert names == ["own"]
        assert call(page, "GET", "/user?current")["user"]["username"] == "admin"
        assert call(page, "DELETE", "/auth")["status"] == "OK"
        assert page.context.cookies(api) == []
        assert call(page, "GET", "/member")["error_id"] == "NOAUTH"
