"""Fields of line items that follow from counted events: runs, their filters, sums, and the allocation of flat fees."""

from __future__ import annotations

import pytest
from sqlalchemy.dialects import sqlite

from onebyone.reports.delivery_stats import _run_hours_query
from tests.reports.report_harness import ReportHarness, epoch_ms
from tests.resources.guaranteed import create
from tests.support.api_harness import Harness, Json

pytestmark = pytest.mark.anyio
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)
DAY_MS = 86_400_000


@pytest.fixture
async def lines(api: Harness) -> list[int]:
    """Create four line items: run in January, run in March, only clicked, never run."""
    advertiser = (await api.create("advertiser", {"name": "A"}))["id"]
    made = [await api.create("line-item", {"name": f"L{number}"}, advertiser_id=advertiser) for number in range(4)]
    ids = [line["id"] for line in made]
    runs = [(0, "imp", "2026-01-05 10:20:00"), (0, "imp", "2026-01-01 00:00:05"), (0, "imp", "2026-01-09 23:59:59")]
    runs += [(1, "imp", "2026-03-01 12:00:00"), (2, "clk", "2026-02-01 00:00:00"), (0, "clk", "2026-06-01 00:00:00")]
    common = {"member_id": 1, "advertiser_id": advertiser}
    reports = ReportHarness(api)
    await reports.record(
        *({**common, "kind": kind, "line_item_id": ids[place], "ts": epoch_ms(text)} for place, kind, text in runs)
    )
    await reports.record({**common, "member_id": 2, "line_item_id": ids[3], "ts": epoch_ms("2026-01-01 00:00:00")})
    return ids


@ENGINES
async def test_first_and_last_run(api: Harness, lines: list[int]) -> None:
    plain = await api.get("line-item", lines[0])
    assert not {"first_run", "last_run", "all_stats"} & plain.keys()
    found = (await api.call("GET", "line-item", flight_info="true"))["line-items"]
    assert [(line["first_run"], line["last_run"]) for line in found] == [
        ("2026-01-01 00:00:00", "2026-01-09 23:00:00"),
        ("2026-03-01 12:00:00", "2026-03-01 12:00:00"),
        (None, None),
        (None, None),
    ]
    fields = {field["name"]: field for field in (await api.call("GET", "line-item/meta"))["fields"]}
    assert fields["first_run"] == {
        "name": "first_run",
        "type": "date",
        "sort_by": False,
        "filter_by": True,
        "read_only": True,
    }


@ENGINES
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"never_run": "true"}, [2, 3]),
        ({"never_run": "false"}, [0, 1, 2, 3]),
        ({"min_first_run": "2026-01-01 00:00:00"}, [0, 1]),
        ({"min_first_run": "2026-01-02+00:00:00"}, [1]),
        ({"max_first_run": "2026-02-01 00:00:00"}, [0]),
        ({"min_first_run": "2026-01-01 00:00:00", "max_first_run": "2026-12-31 00:00:00"}, [0, 1]),
        ({"min_last_run": "2026-01-10"}, [1]),
        ({"max_last_run": "2026-01-10"}, [0]),
        ({"min_last_run": "2026-01-05", "max_last_run": "2026-01-10"}, [0]),
        ({"min_first_run": "2026-02-01", "max_last_run": "2026-02-01"}, []),
        ({"min_first_run": "2026-02-01", "never_run": "true"}, [1, 2, 3]),
        ({"nmin_first_run": "2026-02-01"}, [1, 2, 3]),
        ({"nmax_last_run": "2026-02-01"}, [0, 2, 3]),
        ({"never_run": "true", "name": "L3"}, [3]),
        ({"never_run": "true", "sort": "id.desc", "num_elements": "1"}, [3]),
    ],
    ids=str,
)
async def test_filters_on_runs(api: Harness, lines: list[int], query: Json, found: list[int]) -> None:
    response = await api.call("GET", "line-item", flight_info="true", **query)
    assert response["dbg_info"]["warnings"] == []
    assert [lines.index(line["id"]) for line in response["line-items"]] == found
    assert response["count"] == (2 if "num_elements" in query else len(found))
    other = await api.second_member()
    assert (await other.call("GET", "line-item", **query))["count"] == 0


async def test_invalid_run_dates(api: Harness) -> None:
    response = await api.call("GET", "line-item", min_first_run="soon")
    assert response["error"].startswith("min_first_run: not a date")


@ENGINES
async def test_all_stats(api: Harness, lines: list[int]) -> None:
    today = epoch_ms("2026-07-01 00:00:00")
    await api.go_to(today + DAY_MS // 2)
    event = {"member_id": 1, "line_item_id": lines[3]}
    times = [("imp", 0), ("imp", 0), ("clk", 0), ("imp", 1), ("imp", 6), ("imp", 7)]
    await ReportHarness(api).record(*({**event, "kind": kind, "ts": today - days * DAY_MS} for kind, days in times))
    line = (await api.call("GET", "line-item", id=lines[3], all_status="true"))["line-item"]
    assert [(part["interval"], part["imps"], part["clicks"]) for part in line["all_stats"]] == [
        ("today", 2, 1),
        ("yesterday", 1, 0),
        ("last_7_days", 4, 1),
        ("lifetime", 5, 1),
    ]
    assert list(line["all_stats"][0])[3:] == ["ctr", "media_cost", "booked_revenue", "profit"]
    assert line["all_stats"][0]["ctr"] == 0.5


@ENGINES
@pytest.mark.parametrize("kind", ["one_time", "daily"])
async def test_allocated_fee_locks_the_line_item(api: Harness, order: Json, kind: str) -> None:
    """Use a flight in October 2020 in UTC; the one-time fee is allocated on 1 November."""
    fee = {"flat_fee_allocation_date": "2020-11-01 00:00:00"} if kind == "one_time" else None
    more = {"revenue_type": "flat_fee", "flat_fee_type": kind, "flat_fee": fee}

    async def at(text: str) -> str:
        await api.go_to(epoch_ms(text))
        found = (await api.get("line-item", line["id"]))["flat_fee"]["flat_fee_status"]
        assert found == (await api.call("GET", "line-item"))["line-items"][0]["flat_fee"]["flat_fee_status"]
        return str(found)

    line = await create(api, order, **more)
    assert await at("2021-01-01 00:00:00") == "pending", "nothing is allocated without an impression"
    assert (await api.put("line-item", line["id"], {"comments": "still open"}))["comments"] == "still open"
    event = {"member_id": 1, "line_item_id": line["id"]}
    await ReportHarness(api).record({**event, "ts": epoch_ms("2020-10-05 00:00:00")})
    assert await at("2020-10-20 00:00:00") == ("pending" if kind == "one_time" else "processing")
    assert (await api.put("line-item", line["id"], {"comments": "open"}))["comments"] == "open"
    assert await at("2020-11-01 00:00:00") == "allocated"
    refused = await api.call("PUT", "line-item", {"line-item": {"comments": "late"}}, id=line["id"])
    assert refused["error_id"] == "INTEGRITY"
    assert refused["error"] == "flat_fee: was allocated, the line item is no longer editable"
    assert (await api.get("line-item", line["id"]))["comments"] == "open"
    assert (await api.delete("line-item", line["id"]))["status"] == "OK"


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_run_query_reads_only_the_ends(api: Harness) -> None:
    delivery_stats = api.context.delivery_stats(1)
    assert await delivery_stats.run_hours(range(1, 2000)) == {}
    query = _run_hours_query(1, [1, 2]).compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    async with api.store.connect() as connection:
        plan = [row[-1] for row in await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}")]
    reads = [line for line in plan if "hourly" in line]
    index = "SEARCH hourly USING COVERING INDEX ix_hourly_member_id_line_item_id"
    assert [line.split(" (")[0] for line in reads] == [index, index]
