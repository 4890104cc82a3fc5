"""`/docs` in a real Chromium: operations work as the page fills them in, and no other host is contacted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Request, expect

from tests.support import chromium
from tests.support.api_contract import described
from tests.support.running_api import running_api
from tests.support.tiers import starts_processes

PATIENCE_MS = 30_000
"""A page of many operations is slow on a machine that runs other tests too."""
TO_A_TRACKER = ("auth", "advertiser", "insertion-order", "line-item", "publisher", "imptracker")
"""Services of which a newcomer sends the example of the POST, from top to bottom; test_examples.py sends them all."""

pytestmark = chromium.required


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The URL of an API on fresh stores."""
    with running_api(tmp_path) as api_url:
        yield api_url


@pytest.fixture
@starts_processes
def page(tmp_path: Path) -> Iterator[Page]:
    """A page of a browser without history."""
    with chromium.opened_page(tmp_path / "profile", viewport={"width": 1280, "height": 1600}) as opened:
        yield opened


def execute(operation: Locator) -> dict[str, object]:
    """Open an operation, send what its form holds, close it and return the `response` object of the answer."""
    summary = operation.locator(".opblock-summary-control")
    summary.click()
    operation.get_by_role("button", name="Execute").click()
    body = operation.locator(".live-responses-table .response-col_description .highlight-code code").first
    expect(body).to_contain_text('"response"')
    response: dict[str, object] = json.loads(body.text_content() or "")["response"]
    summary.click()
    return response


def test_the_page_leads_from_a_login_to_a_tracker(page: Page, url: str, tmp_path: Path) -> None:
    problems: list[str] = []
    asked: set[str] = set()

    def note_request(request: Request) -> None:
        asked.add(request.url)

    page.on("request", note_request)
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    expect.set_options(timeout=PATIENCE_MS)
    page.goto(f"{url}/docs", wait_until="load")
    expect(page.locator(".info .title")).to_contain_text("OneByOne config API")
    expect(page.locator(".info .title")).to_contain_text("OAS 3.1")
    page.screenshot(path=str(tmp_path / "docs.png"))
    expect(page.locator(".opblock-tag")).to_have_count(len(described()["tags"]))
    for service in TO_A_TRACKER:
        # One open section at a time: the page renders all that is open again after each step.
        page.locator(f"#operations-tag-{service}").click()
        response = execute(page.locator(f"[id^=operations-{service}-].opblock-post"))
        assert response["status"] == "OK", (service, response)
        if service == "imptracker":
            expect(page.locator("[id^=operations-imptracker-]")).to_have_count(5)
        page.locator(f"#operations-tag-{service}").click()
    page.locator("#operations-tag-member").click()
    assert execute(page.locator("#operations-member-getMember"))["status"] == "OK"
    assert f"{url}/member?num_elements=100" in asked
    page.screenshot(path=str(tmp_path / "executed.png"))
    assert problems == []
    assert {address for address in asked if not address.startswith((f"{url}/", "data:"))} == set()
