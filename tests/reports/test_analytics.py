"""The report type network_analytics: columns, time zones, filters, order, pages and the format of the file."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, select

from onebyone.contracts.events import NET
from onebyone.report_store import tables
from onebyone.reports.columns import ANALYTICS
from onebyone.runtime import sql
from tests.reports.report_harness import ReportHarness, epoch_ms
from tests.support.api_harness import Json

pytestmark = pytest.mark.anyio
BOTH = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)

CPM = {"pricing_type": "cpm", "revenue_value": 5_000_000, "cost_cpm": 2_000_000}


async def world(reports: ReportHarness) -> Json:
    """Create one object of each kind and return the fields of an event that refers to them."""
    ids = await reports.api.world()
    await reports.api.put("advertiser", ids["advertiser"], {"code": "adv"})
    return {
        "member_id": 1,
        "advertiser_id": ids["advertiser"],
        "line_item_id": ids["line-item"],
        "insertion_order_id": 0,
        "publisher_id": ids["publisher"],
        "site_id": ids["site"],
        "tag_id": ids["placement"],
        "payment_rule_id": ids["payment-rule"],
        "ts": epoch_ms("2026-03-01 10:59:59"),
    }


@BOTH
async def test_events_that_are_kept_uncounted_are_in_no_column(reports: ReportHarness) -> None:
    at = await world(reports)
    kept = [{**at, "reason": reason, "kind": kind} for reason in ("head", "prefetch") for kind in ("imp", "clk")]
    later = {**at, "reason": "inactive", "ts": at["ts"] + 86_400_000}
    await reports.record(at, *kept, later, {**at, "kind": "clk"})
    assert await reports.rows("day imps clicks") == [["2026-03-01", "1", "1"]]
    stats = reports.api.context.delivery_stats(1)
    assert set((await stats.run_hours([at["line_item_id"]]))[at["line_item_id"]]) == {
        epoch_ms("2026-03-01 10:00:00") // 1000
    }
    lifetime = (await stats.interval_stats([at["line_item_id"]]))[at["line_item_id"]][-1]
    assert (lifetime["imps"], lifetime["clicks"]) == (1, 1)


@BOTH
async def test_classified_events_are_in_every_column_like_net_ones(reports: ReportHarness) -> None:
    at = await world(reports)
    await reports.record(*[{**at, "terms": CPM}] * 4, {**at, "reason": "head"})
    await reports.record({**at, "terms": CPM, "kind": "clk", "ts": at["ts"] + 3_600_000})
    columns = "day imps clicks cost revenue"
    before = await reports.rows(columns)
    assert before[0][:3] == ["2026-03-01", "4", "1"]
    net = select(tables.hourly).where(tables.hourly.c.reason == NET)
    async with sql.writing(reports.api.context.report_store) as connection:
        impressions, clicks = (await connection.execute(net.order_by(tables.hourly.c.hour))).mappings().all()
        for hour in (impressions, clicks):
            changed = tables.hourly.c.hour == hour["hour"]
            await connection.execute(
                tables.hourly.update().where(changed, tables.hourly.c.reason == NET).values(reason="seo")
            )
        # As when one of the four is classified otherwise than the others.
        apart = {name: impressions[name] // 4 for name in ("events", "cost_nanos", "revenue_nanos")}
        rest = {name: impressions[name] - apart[name] for name in apart}
        await connection.execute(
            tables.hourly.update().where(tables.hourly.c.reason == "seo", tables.hourly.c.kind == "imp").values(rest)
        )
        await connection.execute(insert(tables.hourly).values({**impressions, **apart, "reason": "data_center"}))
    assert await reports.rows(columns) == before
    stats = reports.api.context.delivery_stats(1)
    assert await stats.run_hours([at["line_item_id"]]) == {
        at["line_item_id"]: (impressions["hour"], impressions["hour"])
    }
    lifetime = (await stats.interval_stats([at["line_item_id"]]))[at["line_item_id"]][-1]
    assert (lifetime["imps"], lifetime["clicks"], lifetime["media_cost"]) == (4, 1, 0.008)


@BOTH
async def test_every_column(reports: ReportHarness) -> None:
    at = await world(reports)
    await reports.record(*[{**at, "terms": CPM}] * 4, {**at, "kind": "clk", "ancost": 250_000})
    columns = list(ANALYTICS["network_analytics"])
    rows = await reports.rows(" ".join(columns))
    rule = (await reports.api.get("payment-rule", at["payment_rule_id"]))["name"]
    site = (await reports.api.get("site", at["site_id"]))["name"]
    placement = (await reports.api.get("placement", at["tag_id"]))["name"]
    same: dict[str, object] = {
        "hour": "2026-03-01 10:00:00",
        "day": "2026-03-01",
        "month": "2026-03",
        "entity_member_id": 1,
        "seller_member_id": 1,
        "seller_member_name": "Default Member",
        "buyer_member_id": 1,
        "buyer_member_name": "Default Member",
        "advertiser_id": at["advertiser_id"],
        "advertiser_name": "Test Advertiser",
        "advertiser_code": "adv",
        "line_item_id": at["line_item_id"],
        "line_item_name": "Test Line Item",
        "line_item_code": "",
        "insertion_order_id": 0,
        "insertion_order_name": "",
        "insertion_order_code": "",
        "publisher_id": at["publisher_id"],
        "publisher_name": "November Publisher",
        "publisher_code": "",
        "site_id": at["site_id"],
        "site_name": site,
        "placement_id": at["tag_id"],
        "placement_name": placement,
        "placement_code": "",
        "pub_rule_id": at["payment_rule_id"],
        "pub_rule_name": rule,
        "pub_rule_code": "",
    }
    imp: dict[str, object] = {
        "imp_type_id": 9,
        "imp_type": "External Impression",
        "creative_id": "External Imps",
        "creative_name": "External Imps",
        "creative_code": "External Imps",
        "imps": 4,
        "clicks": 0,
        "external_impression": 4,
        "external_click": 0,
        "cost": "0.008",
        "booked_revenue": "0.02",
        "revenue": "0.02",
        "profit": "0.012",
        "ctr": "0",
        "cpm": "2.00",
        "rpm": "5.00",
    }
    click: dict[str, object] = {
        "imp_type_id": 10,
        "imp_type": "External Click",
        "creative_id": "External Clicks",
        "creative_name": "External Clicks",
        "creative_code": "External Clicks",
        "imps": 0,
        "clicks": 1,
        "external_impression": 0,
        "external_click": 1,
        "cost": "0.25",
        "booked_revenue": "0.00",
        "revenue": "0.00",
        "profit": "-0.25",
        "ctr": "0",
        "cpm": "0.00",
        "rpm": "0.00",
    }
    assert [dict(zip(columns, row, strict=True)) for row in rows] == [
        {name: str(value) for name, value in {**same, **each}.items()} for each in (imp, click)
    ]


@BOTH
async def test_metrics_without_dimensions_give_one_row(reports: ReportHarness) -> None:
    await reports.record(*[{}] * 3, {"kind": "clk", "ancost": 1_000_001})
    assert await reports.rows("imps clicks cost ctr cpm") == [["3", "1", "1.000001", "0.333333", "333.333667"]]


@pytest.mark.parametrize("columns", ["imps", "hour imps", "advertiser_name cost"])
async def test_report_without_events_is_header_only(reports: ReportHarness, columns: str) -> None:
    assert await reports.rows(columns) == []


async def test_filter_without_match_gives_header_only(reports: ReportHarness) -> None:
    await reports.record({})
    assert await reports.rows("imps", filters=[{"advertiser_id": 99}]) == []


TIMES = (
    "2026-10-31 23:30:00",
    "2026-11-01 04:30:00",
    "2026-11-01 05:30:00",
    "2026-11-01 06:30:00",
    "2026-11-02 04:30:00",
)


@BOTH
@pytest.mark.parametrize(
    ("zone", "column", "expected"),
    [
        ("UTC", "day", {"2026-10-31": 1, "2026-11-01": 3, "2026-11-02": 1}),
        ("America/New_York", "day", {"2026-10-31": 1, "2026-11-01": 4}),
        ("America/New_York", "month", {"2026-10": 1, "2026-11": 4}),
        ("UTC", "month", {"2026-10": 1, "2026-11": 4}),
        (
            "America/New_York",
            "hour",
            {
                "2026-10-31 19:00:00": 1,
                "2026-11-01 00:00:00": 1,
                "2026-11-01 01:00:00": 2,
                "2026-11-01 23:00:00": 1,
            },
        ),
        ("Asia/Tokyo", "day", {"2026-11-01": 4, "2026-11-02": 1}),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_grouping_by_time_follows_time_zone(
    reports: ReportHarness, zone: str, column: str, expected: dict[str, int]
) -> None:
    await reports.record(*({"ts": epoch_ms(time)} for time in TIMES))
    assert {name: int(count) for name, count in await reports.rows(f"{column} imps", timezone=zone)} == expected


@BOTH
async def test_spring_forward_day_has_23_hours(reports: ReportHarness) -> None:
    await reports.record(*({"ts": epoch_ms(f"2026-03-08 {hour:02}:00:00")} for hour in range(24)))
    await reports.record({"ts": epoch_ms("2026-03-09 03:59:59")}, {"ts": epoch_ms("2026-03-09 04:00:00")})
    time_range: Json = {"start_date": "2026-03-08", "end_date": "2026-03-09", "timezone": "America/New_York"}
    hours = [row[0] for row in await reports.rows("hour imps", **time_range)]
    assert "2026-03-08 02:00:00" not in hours
    assert len(hours) == 20
    assert await reports.rows("day imps", **time_range) == [["2026-03-08", "20"]]


async def test_default_zone_is_eastern_and_end_is_exclusive(reports: ReportHarness) -> None:
    await reports.record(
        *({"ts": epoch_ms(time)} for time in ("2026-01-02 04:59:59", "2026-01-02 05:00:00", "2026-01-03 05:00:00"))
    )
    time_range: Json = {"start_date": "2026-01-02", "end_date": "2026-01-03", "timezone": None}
    assert await reports.rows("day imps", **time_range) == [["2026-01-02", "1"]]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([{"tracker_id": 1}], None),
        ([{"advertiser_id": 2}], ["1", "2"]),
        ([{"advertiser_id": "2"}], ["1", "2"]),
        ([{"advertiser_id": [2, 3]}], ["1", "2", "4"]),
        ([{"advertiser_id": [2, 3]}, {"publisher_id": 4}], ["1", "4"]),
        ([{"imp_type_id": 10}], ["4"]),
        ([{"imp_type_id": [9, 10]}], ["1", "2", "4"]),
        ([{"imp_type_id": 7}], []),
        ([{"placement_id": 0}], ["4"]),
        ([{"seller_member_id": 1}], ["1", "2", "4"]),
        ([{"seller_member_id": 2}], []),
    ],
    ids=str,
)
async def test_filters(reports: ReportHarness, filters: list[Any], expected: list[str] | None) -> None:
    await reports.record(
        {"advertiser_id": 2, "publisher_id": 4, "line_item_id": 1},
        {"advertiser_id": 2, "publisher_id": 5, "line_item_id": 2},
        {"advertiser_id": 3, "publisher_id": 4, "line_item_id": 4, "kind": "clk", "tag_id": 0},
    )
    if expected is None:
        response = await reports.order({"report_type": "network_analytics", "columns": ["imps"], "filters": filters})
        assert "filters[0].tracker_id" in response["error"]
        return
    assert [row[0] for row in await reports.rows("line_item_id", filters=filters)] == expected


async def test_owners_in_query_string_filter(reports: ReportHarness) -> None:
    await reports.record({"advertiser_id": 2}, {"advertiser_id": 3})
    report = {"report_type": "network_analytics", "columns": ["advertiser_id"], "report_interval": "lifetime"}
    answer = await reports.download(report, advertiser_id=3)
    assert answer.text == "advertiser_id\r\n3\r\n"


@pytest.mark.parametrize(
    ("metric", "operator", "value", "expected"),
    [
        ("imps", ">=", 2, ["2", "3"]),
        ("imps", ">", "2", ["3"]),
        ("imps", "<", 2, ["1"]),
        ("imps", "=", 2.0, ["2"]),
        ("imps", "!=", 2, ["1", "3"]),
        ("cost", "=", "0.000002", ["2"]),
        ("cost", "<=", 0.000002, ["1", "2"]),
    ],
)
async def test_group_filters(
    reports: ReportHarness, metric: str, operator: str, value: object, expected: list[str]
) -> None:
    await reports.record(*({"line_item_id": number, "ancost": 1} for number in (1, 2, 2, 3, 3, 3)))
    conditions = [{metric: {"value": value, "operator": operator}}]
    assert [row[0] for row in await reports.rows("line_item_id imps", group_filters=conditions)] == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ["1", "2", "10"]),
        ({"orders": ["line_item_id"]}, ["1", "2", "10"]),
        ({"orders": [{"order_by": "line_item_id", "direction": "DESC"}]}, ["10", "2", "1"]),
        ({"orders": [{"order_by": "imps", "direction": "desc"}, "line_item_id"]}, ["2", "1", "10"]),
        ({"orders": ["line_item_id"], "offset": 1, "num_elements": 1}, ["2"]),
        ({"orders": ["line_item_id"], "offset": "1"}, ["2", "10"]),
        ({"orders": ["line_item_id"], "offset": 5}, []),
    ],
    ids=str,
)
async def test_order_and_pages(reports: ReportHarness, fields: Json, expected: list[str]) -> None:
    await reports.record(*({"line_item_id": number} for number in (10, 2, 2, 1)))
    assert [row[0] for row in await reports.rows("line_item_id imps", **fields)] == expected


async def test_order_by_a_name(reports: ReportHarness) -> None:
    ids = {name: (await reports.api.create("advertiser", {"name": name}))["id"] for name in ("b", "a", "c")}
    await reports.record(*({"advertiser_id": advertiser_id} for advertiser_id in ids.values()))
    assert [row[0] for row in await reports.rows("advertiser_name", orders=["advertiser_name"])] == ["a", "b", "c"]


async def test_current_names_and_none_for_deleted_objects(reports: ReportHarness) -> None:
    advertiser = await reports.api.create("advertiser", {"name": "before"})
    await reports.record({"advertiser_id": advertiser["id"]}, {"advertiser_id": 999_999})
    await reports.api.put("advertiser", advertiser["id"], {"name": "after"})
    rows = await reports.rows("advertiser_id advertiser_name imps")
    assert rows == [[str(advertiser["id"]), "after", "1"], ["999999", "", "1"]]


async def test_objects_of_same_name_share_one_row(reports: ReportHarness) -> None:
    for code in ("x", "y"):
        advertiser = await reports.api.create("advertiser", {"name": "Twin", "code": code})
        await reports.record({"advertiser_id": advertiser["id"], "ancost": 1_000_000})
    assert await reports.rows("advertiser_name imps cost") == [["Twin", "2", "2.00"]]


NAMES_AS_WRITTEN = {
    "=cmd|' /C calc'!A0": "'=cmd|' /C calc'!A0",
    "+1": "'+1",
    "-1": "'-1",
    "@SUM(A1)": "'@SUM(A1)",
    'say "hi", all': 'say "hi", all',
    "Ünïcode ✓": "Ünïcode ✓",
    "<script>": "<script>",
}


@pytest.mark.parametrize("name", NAMES_AS_WRITTEN)
async def test_formulas_in_names_are_escaped(reports: ReportHarness, name: str) -> None:
    advertiser = await reports.api.create("advertiser", {"name": name})
    await reports.record({"advertiser_id": advertiser["id"], "ancost": 2_000_000})
    assert await reports.rows("advertiser_name profit") == [[NAMES_AS_WRITTEN[name], "-2.00"]]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 'advertiser_name,imps,cost\r\n"a, ""b""",1,0.50\r\n'),
        ({"escape_fields": True}, '"advertiser_name","imps","cost"\r\n"a, ""b""","1","0.50"\r\n'),
        ({"format": "excel"}, 'advertiser_name\timps\tcost\r\n"a, ""b"""\t1\t0.50\r\n'),
        ({"reporting_decimal_type": "comma"}, 'advertiser_name,imps,cost\r\n"a, ""b""",1,"0,50"\r\n'),
    ],
    ids=str,
)
async def test_file_format_options(reports: ReportHarness, fields: Json, expected: str) -> None:
    advertiser = await reports.api.create("advertiser", {"name": 'a, "b"'})
    await reports.record({"advertiser_id": advertiser["id"], "ancost": 500_000})
    report = {"report_type": "network_analytics", "columns": ["advertiser_name", "imps", "cost"], **fields}
    answer = await reports.download({**report, "report_interval": "lifetime"})
    assert answer.text == expected
    assert answer.headers["content-type"].startswith("text/")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("attachment")


@BOTH
async def test_large_sums_are_exact(reports: ReportHarness) -> None:
    await reports.record(*[{"kind": "clk", "ancost": 999_999_999_999}] * 1000)
    await reports.record(*[{"kind": "clk", "ancost": 999_999_999_999, "line_item_id": 9}] * 1000)
    assert await reports.rows("clicks cost profit") == [["2000", "1999999999.998", "-1999999999.998"]]


@BOTH
async def test_members_see_only_their_own_events(reports: ReportHarness) -> None:
    other = await reports.api.second_member()
    await reports.record({"member_id": 1}, {"member_id": 2}, {"member_id": 2})
    assert await reports.rows("seller_member_id imps") == [["1", "1"]]
    assert await reports.rows("seller_member_id imps", client=other) == [["2", "2"]]
    assert await reports.rows("seller_member_name", client=other) == [["Other Member"]]
    assert await reports.rows("imps", client=other, filters=[{"seller_member_id": 1}]) == []
