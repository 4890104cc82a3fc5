"""`/docs` in a real Chromium: it shows the operations, asks no other host, and an operation can be tried out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, expect, sync_playwright

from tests.support.api_harness import PASSWORD
from tests.support.debian_packages import needs
from tests.support.running_api import running_api
from tests.support.tiers import starts_processes

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]

PATIENCE_MS = 30_000

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=needs("chromium"))


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with running_api(tmp_path) as found:
        yield found


@pytest.fixture
@starts_processes
def page(tmp_path: Path) -> Iterator[Page]:
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path / "profile"),
            executable_path=CHROMIUM,
            args=FLAGS,
            headless=True,
            viewport={"width": 1280, "height": 1600},
        )
        yield context.new_page()
        context.close()


def execute(page: Page, operation: str) -> dict[str, object]:
    """Opens an operation, sends what its form holds and gives the `response` object of the answer."""
    block = page.locator(f"#operations-{operation}")
    if "is-open" not in (block.get_attribute("class") or ""):
        block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Execute").click()
    body = block.locator(".live-responses-table .response-col_description .highlight-code code").first
    expect(body).to_contain_text('"response"')
    found: dict[str, object] = json.loads(body.text_content() or "")["response"]
    return found


def test_the_page_shows_the_operations_and_tries_them_out(page: Page, url: str, tmp_path: Path) -> None:
    problems: list[str] = []
    asked: set[str] = set()

    def sent(request: Request) -> None:
        asked.add(request.url)

    page.on("request", sent)
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    expect.set_options(timeout=PATIENCE_MS)
    page.goto(f"{url}/docs", wait_until="load")
    expect(page.locator(".info .title")).to_contain_text("OneByOne config API")
    expect(page.locator(".info .title")).to_contain_text("OAS 3.1")
    page.screenshot(path=str(tmp_path / "docs.png"))
    page.locator("#operations-tag-imptracker").click()
    expect(page.locator("[id^=operations-imptracker-]")).to_have_count(5)
    page.locator("#operations-tag-auth").click()
    page.locator("#operations-auth-logIn .opblock-summary-control").click()
    page.locator("#operations-tag-advertiser").click()
    login = json.dumps({"auth": {"username": "admin", "password": PASSWORD}})
    page.locator("#operations-auth-logIn textarea").fill(login)
    assert execute(page, "auth-logIn")["status"] == "OK"
    page.locator("#operations-tag-member").click()
    assert execute(page, "member-getMember")["status"] == "OK"
    assert f"{url}/member?num_elements=100" in asked
    assert execute(page, "advertiser-createAdvertiser")["id"] == 1
    page.screenshot(path=str(tmp_path / "advertiser.png"))
    assert problems == []
    assert {address for address in asked if not address.startswith((f"{url}/", "data:"))} == set()
