"""The clicktrackers feed: one row for each click, every column, at most a day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from onebyone.clock import now_ms
from onebyone.reports import feed
from onebyone.reports.columns import FEEDS
from tests.reports.report_harness import ReportHarness
from tests.support.api_harness import Json

pytestmark = pytest.mark.anyio
BOTH = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)

YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
TERMS = {
    "pricing_type": "cpm",
    "revenue_value": 5_000_000,
    "revshare": 100_000,
    "commission_cpm": 250_000,
    "commission_revshare": 0,
}


def at(hours: float) -> int:
    """Return epoch milliseconds, `hours` after the start of yesterday."""
    return int((YESTERDAY + timedelta(hours=hours)).timestamp() * 1000)


def day(columns: list[str], **fields: Any) -> Json:
    """Return a request for the feed of yesterday."""
    end = YESTERDAY + timedelta(days=1)
    return {
        "report_type": "clicktrackers",
        "columns": columns,
        "start_date": YESTERDAY.strftime("%Y-%m-%d %H:00:00"),
        "end_date": end.strftime("%Y-%m-%d"),
        **fields,
    }


@BOTH
async def test_every_column(reports: ReportHarness) -> None:
    (click,) = await reports.record(
        {"kind": "clk", "ts": at(12.5), "ancost": 250_000, "ref": "https://test-domain.com/x", "terms": TERMS}
    )
    columns = list(FEEDS["clicktrackers"])
    answer = await reports.download(day(columns))
    date = YESTERDAY.strftime("%Y-%m-%d")
    expected = {
        "hour": f"{date} 12:00",
        "day": date,
        "month": date[:7],
        "datetime": f"{date} 12:30:00",
        "advertiser_id": 2,
        "auction_id": click["id"],
        "line_item_id": 3,
        "insertion_order_id": 0,
        "member_id": 1,
        "pricing_type": "cpm",
        "publisher_id": 4,
        "site_domain": "test-domain.com",
        "tag_id": 6,
        "tracker_id": 7,
        "user_id": 0,
        "commission_cpm": "0.25",
        "commission_revshare": "0.00",
        "media_buy_cost": "0.25",
        "media_buy_rev_share_pct": "0.1",
        "revenue_value": "5.00",
    }
    header, row, rest = answer.text.split("\r\n")
    assert header.split(",") == columns
    assert dict(zip(columns, row.split(","), strict=True)) == {name: str(value) for name, value in expected.items()}
    assert rest == ""


@BOTH
async def test_rows_of_time_range_oldest_first(reports: ReportHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "PAGE_ROWS", 2)
    times = [23.99, 0, 1, 1, 1, 1, 1, 7]
    inside = await reports.record(*({"kind": "clk", "ts": at(hour)} for hour in times))
    await reports.record({"kind": "clk", "ts": at(0) - 1}, {"kind": "clk", "ts": at(24)}, {"kind": "imp", "ts": at(3)})
    await reports.record({"kind": "clk", "ts": at(3), "member_id": 2})
    expected = [str(one["id"]) for one in sorted(inside, key=lambda one: (one["ts"], one["id"]))]
    assert (await reports.download(day(["auction_id"]))).text.split() == ["auction_id", *expected]
    paged = await reports.download(day(["auction_id"], offset=3, num_elements=2))
    assert paged.text.split() == ["auction_id", *expected[3:5]]


async def test_equal_clicks_are_separate_rows(reports: ReportHarness) -> None:
    await reports.record(*[{"kind": "clk", "ts": at(1)}] * 3)
    assert (await reports.download(day(["tracker_id"]))).text == "tracker_id\r\n7\r\n7\r\n7\r\n"


async def test_time_zone_of_hours(reports: ReportHarness) -> None:
    await reports.record({"kind": "clk", "ts": at(0.5)})
    start = (YESTERDAY + timedelta(hours=9)).strftime("%Y-%m-%d %H:00:00")
    end = (YESTERDAY + timedelta(hours=10)).strftime("%Y-%m-%d %H:00:00")
    answer = await reports.download(day(["hour"], timezone="Asia/Tokyo", start_date=start, end_date=end))
    assert answer.text == f"hour\r\n{start[:-3]}\r\n"


async def test_opted_out_user_and_missing_referrer(reports: ReportHarness) -> None:
    await reports.record({"kind": "clk", "ts": at(1), "user_id": -1})
    answer = await reports.download(day(["user_id", "site_domain", "pricing_type"]))
    assert answer.text == "user_id,site_domain,pricing_type\r\n-1,,none\r\n"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"start_date": None}, "start_date: required"),
        ({"end_date": None}, "end_date: required"),
        ({"report_interval": "today"}, "report_interval:"),
        ({"filters": [{"advertiser_id": 1}]}, "filters:"),
        ({"orders": ["day"]}, "orders:"),
        ({"group_filters": [{"imps": {"value": 1, "operator": ">"}}]}, "group_filters:"),
        ({"columns": ["imps"]}, "columns[0]:"),
        ({"start_date": "2020-01-01", "end_date": "2020-01-02"}, "start_date: must be within"),
        (
            {"end_date": (YESTERDAY + timedelta(hours=25)).strftime("%Y-%m-%d %H:00:00")},
            "end_date: must be at most 24 hours",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_refused_fields_of_a_feed(reports: ReportHarness, fields: Json, field: str) -> None:
    response = await reports.order({**day(["tracker_id"]), **fields})
    assert response["error_id"] == "SYNTAX"
    assert field in response["error"]


async def test_current_hour_includes_newest_click(reports: ReportHarness) -> None:
    ts = now_ms()
    await reports.record({"kind": "clk", "ts": ts})
    clicked = datetime.fromtimestamp(ts / 1000, UTC)
    time_range = {
        "start_date": clicked.strftime("%Y-%m-%d %H:00:00"),
        "end_date": (clicked + timedelta(hours=1)).strftime("%Y-%m-%d %H:00:00"),
    }
    assert (await reports.download(day(["tracker_id"], **time_range))).text == "tracker_id\r\n7\r\n"
