"""The main job: a tracker made over the API, its tag fired, the count in a report."""

from __future__ import annotations

import itertools
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.product import Product, start_product
from tests.support.tiers import starts_processes
from tests.support.waiting import wait_until

LANDING = "https://landing.example/?a=1&b=2"


_numbers = itertools.count(1)


@pytest.fixture(scope="module")
@starts_processes
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product that these tests share; each has an advertiser of its own."""
    running = start_product(tmp_path_factory.mktemp("product") / "data")
    yield running
    running.stop()


@pytest.fixture
def trackers(product: Product) -> dict[str, Any]:
    """One impression tracker (CPM rule of 2.00) and one click tracker with all their parents."""
    client = product.client()
    made: dict[str, Any] = {"client": client}
    made["advertiser"] = client.create("advertiser", {"name": "Nordic Air", "code": f"na{next(_numbers)}"})
    made["publisher"] = client.create("publisher", {"name": "Daily News"})
    publisher_id = made["publisher"]["id"]
    made["rule"] = client.create(
        "payment-rule", {"name": "CPM", "pricing_type": "cpm", "cost_cpm": 2}, publisher_id=publisher_id
    )
    advertiser_id = made["advertiser"]["id"]
    made["line_item"] = client.create("line-item", {"name": "Autumn"}, advertiser_id=advertiser_id)
    common = {
        "publisher": {"id": publisher_id},
        "line_item": {"id": made["line_item"]["id"]},
        "tag": {"id": made["publisher"]["placements"][0]["id"]},
    }
    made["imp"] = client.create(
        "imptracker",
        {"name": "Banner", **common, "payment_rule": {"id": made["rule"]["id"]}},
        advertiser_id=advertiser_id,
    )
    made["clk"] = client.create(
        "clicktracker", {"name": "Button", "click_url": LANDING, **common}, advertiser_id=advertiser_id
    )
    return made


def fire_tag(product: Product, path: str, expected: str = "recorded") -> httpx.Response:
    """Send a tag until it is answered as expected: a new tracker is live within a second."""

    def answered() -> httpx.Response | None:
        answer = httpx.get(product.edge_url + path)
        return answer if answer.headers["x-onebyone"] == expected else None

    return wait_until(answered, f"{path} is {expected}", seconds=5) or httpx.Response(500)


def report_of_last_day(**more: Any) -> dict[str, Any]:
    """Return a report request with the last day in UTC as its dates."""
    now = datetime.now(UTC)
    start, end = now - timedelta(hours=23), now + timedelta(hours=1)
    form = "%Y-%m-%d %H:00:00"
    return {"start_date": start.strftime(form), "end_date": end.strftime(form), "timezone": "UTC", **more}


def filters_of(trackers: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the filter of a report about these trackers alone."""
    return [{"advertiser_id": trackers["advertiser"]["id"]}]


def test_from_tracker_to_report(product: Product, trackers: dict[str, Any]) -> None:
    client, imp, clk = trackers["client"], trackers["imp"]["id"], trackers["clk"]["id"]
    for number in range(5):
        fire_tag(product, f"/imptr?id={imp}&t=2&cachebuster={number}")
    fire_tag(product, f"/imptr?id={imp}&t=1&ancost=0.5")
    assert fire_tag(product, f"/clktr?id={clk}&ancost=0.25").headers["location"] == LANDING
    columns = [
        "advertiser_name", "line_item_id", "publisher_name", "placement_id", "imp_type_id", "creative_id",
        "imps", "clicks", "external_impression", "external_click", "cost",
    ]  # fmt: skip
    rows = client.report(
        report_of_last_day(
            report_type="network_analytics", columns=columns, orders=["imp_type_id"], filters=filters_of(trackers)
        ),
        until=lambda rows: len(rows) == 2 and rows[0]["imps"] == "6",
    )
    common = {
        "advertiser_name": "Nordic Air",
        "line_item_id": str(trackers["line_item"]["id"]),
        "publisher_name": "Daily News",
        "placement_id": str(trackers["publisher"]["placements"][0]["id"]),
    }
    assert rows == [
        {**common, "imp_type_id": "9", "creative_id": "External Imps", "imps": "6", "clicks": "0",
         "external_impression": "6", "external_click": "0", "cost": "0.51"},
        {**common, "imp_type_id": "10", "creative_id": "External Clicks", "imps": "0", "clicks": "1",
         "external_impression": "0", "external_click": "1", "cost": "0.25"},
    ]  # fmt: skip
    clicks = client.run_report(
        report_of_last_day(report_type="clicktrackers", columns=["tracker_id", "media_buy_cost", "tag_id"])
    )
    (click,) = [row for row in clicks if row["tracker_id"] == str(clk)]
    assert click == {"tracker_id": str(clk), "media_buy_cost": "0.25", "tag_id": common["placement_id"]}


def test_an_event_shows_in_a_report_soon_after_its_answer(product: Product, trackers: dict[str, Any]) -> None:
    client, imp = trackers["client"], trackers["imp"]["id"]
    fire_tag(product, f"/imptr?id={imp}")
    started = time.monotonic()
    report = report_of_last_day(
        report_type="network_analytics", columns=["external_impression"], filters=filters_of(trackers)
    )
    client.report(report, until=lambda rows: bool(rows) and rows[0]["external_impression"] == "1")
    print(f"in the report after {time.monotonic() - started:.2f} s")


def test_changes_over_the_api_are_what_the_edge_answers_by(product: Product, trackers: dict[str, Any]) -> None:
    client, clk = trackers["client"], trackers["clk"]["id"]
    fire_tag(product, f"/clktr?id={clk}")
    client.put("clicktracker", clk, {"click_url": "https://elsewhere.example/"})
    wait_until(
        lambda: httpx.get(f"{product.edge_url}/clktr?id={clk}").headers["location"] == "https://elsewhere.example/",
        "the new target",
    )
    redir = f"/clktr?id={clk}&redir=https://partner.example/x"
    assert httpx.get(product.edge_url + redir).headers["location"] == "https://elsewhere.example/"
    client.call("PUT", "member", {"member": {"redirect_domains": ["partner.example"]}})
    wait_until(
        lambda: httpx.get(product.edge_url + redir).headers["location"] == "https://partner.example/x", "approved"
    )
    client.put("clicktracker", clk, {"state": "inactive"})
    fire_tag(product, f"/clktr?id={clk}", "ignored; reason=inactive")
    client.delete("line-item", trackers["line_item"]["id"], advertiser_id=trackers["advertiser"]["id"])
    fire_tag(product, f"/clktr?id={clk}", "ignored; reason=unknown_id")
    fire_tag(product, f"/imptr?id={trackers['imp']['id']}", "ignored; reason=unknown_id")


def test_every_request_to_a_tracker_is_accounted_for(product: Product, trackers: dict[str, Any]) -> None:
    imp, clk = f"/imptr?id={trackers['imp']['id']}&ancost=1", f"/clktr?id={trackers['clk']['id']}&ancost=1"
    for path in (imp, clk):
        fire_tag(product, path)
    prerender = {"Sec-Purpose": "prefetch;prerender"}
    generator = random.Random(5)
    # The requests of this test have the agent of its HTTP library.
    counted = "http_library"
    sent: Counter[tuple[str, str]] = Counter({("imp", counted): 1, ("clk", counted): 1})
    for _ in range(60):
        kind, path = generator.choice((("imp", imp), ("clk", clk)))
        reason, method, headers = generator.choice(
            (
                ("", "GET", {}),
                ("head", "HEAD", {}),
                ("prefetch", "GET", {"X-Moz": "prefetch"}),
                ("prerender", "GET", prerender),
            )
        )
        verdict = httpx.request(method, product.edge_url + path, headers=headers).headers["x-onebyone"]
        assert verdict == (f"ignored; reason={reason}" if reason else "recorded")
        sent[kind, reason or counted] += 1
    columns = ["external_impression", "external_click", "cost"]
    report = report_of_last_day(report_type="network_analytics", columns=columns, filters=filters_of(trackers))
    documented = sent["imp", counted], sent["clk", counted]
    (row,) = trackers["client"].report(report, until=lambda rows: _totals(rows) == documented)
    assert float(row["cost"]) == sum(documented)
    advertiser = trackers["advertiser"]["id"]

    def sums() -> Counter[tuple[str, str]]:
        query = "SELECT kind, reason, sum(events) FROM hourly WHERE advertiser_id = ? GROUP BY kind, reason"
        with closing(sqlite3.connect(product.data_dir / "reports.sqlite3")) as store:
            return Counter({(kind, reason): events for kind, reason, events in store.execute(query, (advertiser,))})

    wait_until(lambda: sums() == sent, "every request is in the sums")
    assert {reason for _, reason in sent} == {counted, "head", "prefetch", "prerender"}


def _totals(rows: list[dict[str, str]]) -> tuple[int, ...] | None:
    return tuple(int(rows[0][name]) for name in ("external_impression", "external_click")) if rows else None


def test_counts_survive_a_restart_of_everything(product: Product, trackers: dict[str, Any]) -> None:
    imp = trackers["imp"]["id"]
    fire_tag(product, f"/imptr?id={imp}")
    product.kill()
    product.start()
    fire_tag(product, f"/imptr?id={imp}")
    assert product.terminate() == 0
    product.start()
    fire_tag(product, f"/imptr?id={imp}")
    report = report_of_last_day(
        report_type="network_analytics", columns=["external_impression"], filters=filters_of(trackers)
    )
    product.client().report(report, until=lambda rows: bool(rows) and rows[0]["external_impression"] == "3")
