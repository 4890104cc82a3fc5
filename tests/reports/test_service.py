"""The report service around the report: envelopes, errors that name their field, limits, and whose report it is."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from onebyone.reports import analytics, run_store, runs, service
from onebyone.reports.columns import ANALYTICS, FEEDS
from onebyone.reports.failure import ReportFailure
from onebyone.runtime import sql
from tests.reports.desk import Desk
from tests.support.api_harness import Json

pytestmark = pytest.mark.anyio

REPORT: Json = {"report_type": "network_analytics", "columns": ["day", "imps"], "report_interval": "last_2_days"}
"""Of two days, so that an event of now is in it after midnight too."""


async def ready(desk: Desk, report_id: str) -> Json:
    """The answer to GET /report once the run has ended."""
    while True:
        response = await desk.api.call("GET", "report", id=report_id)
        if response["execution_status"] != "pending":
            return response
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)
async def test_order_look_and_fetch(desk: Desk) -> None:
    await desk.record({})
    ordered = await desk.order({**REPORT, "name": "mine", "emails": ["x"], "unknown": "\0"})
    report_id = ordered["report_id"]
    assert len(report_id) == 32
    response = await ready(desk, report_id)
    assert response["execution_status"] == "ready"
    report = response["report"]
    assert {**report, "created_on": "", "header_info": "", "json_request": ""} == {
        "name": "mine",
        "created_on": "",
        "cache_hit": False,
        "fact_cache_hit": False,
        "json_request": "",
        "header_info": "",
        "report_size": "24",
        "row_count": "1",
        "url": f"report-download?id={report_id}",
        "data": None,
    }
    assert orjson.loads(report["json_request"]) == {"report": {**REPORT, "name": "mine"}}
    lines = report["header_info"].split("\r\n")
    assert [line.split(",")[0] for line in lines] == [
        "Report ID:",
        "Run at:",
        "Start date:",
        "End date:",
        "Timezone:",
        "User:",
        "",
    ]
    assert (await desk.api.send("GET", f"/{report['url']}")).text.startswith("day,imps\r\n")


@pytest.mark.parametrize(
    ("inside", "interval"),
    [
        ({}, "lifetime"),
        ({"report_interval": "today"}, "today"),
        ({"start_date": "2026-01-01", "end_date": "2026-01-02"}, None),
    ],
    ids=["where there is none", "not instead of the report's own", "not beside dates"],
)
async def test_an_interval_beside_the_report_counts(desk: Desk, inside: Json, interval: str | None) -> None:
    report = {"report_type": "network_analytics", "columns": ["imps"], **inside}
    ordered = await desk.api.call("POST", "report", {"report": report, "report_interval": "lifetime"})
    shown = (await ready(desk, ordered["report_id"]))["report"]
    assert orjson.loads(shown["json_request"])["report"].get("report_interval") == interval


async def test_a_download_waits_for_its_report(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    write = analytics.write_analytics

    async def slow(*values: Any) -> None:
        await asyncio.sleep(0.5)
        await write(*values)

    monkeypatch.setattr(analytics, "write_analytics", slow)
    assert (await desk.download(REPORT)).text == "day,imps\r\n"


async def test_a_download_does_not_wait_for_ever(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analytics, "write_analytics", lambda *_: asyncio.sleep(3600))
    monkeypatch.setattr(service, "WAIT_SECONDS", 0.1)
    answer = await desk.download(REPORT)
    assert answer.status_code == 503
    assert answer.json()["response"]["error_code"] == "SERVICE_UNAVAILABLE"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ReportFailure("too large"), "too large"),
        (OSError("secret"), "a store is not available"),
        (KeyError("secret"), "internal error"),
    ],
    ids=["refused", "store away", "defect"],
)
async def test_a_failed_report_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(analytics, "write_analytics", fail)
    response = await ready(desk, (await desk.order(REPORT))["report_id"])
    assert response["execution_status"] == "error"
    assert told in response["report"]["error"]
    assert "secret" not in str(response)
    assert (await desk.download(REPORT)).status_code == 500


async def test_five_reports_may_be_pending(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analytics, "write_analytics", lambda *_: asyncio.sleep(3600))
    first = await desk.order(REPORT)
    for _ in range(run_store.PENDING_MAX - 1):
        assert (await desk.order(REPORT))["status"] == "OK"
    assert (await desk.order(REPORT))["error_id"] == "LIMIT"
    other = await desk.api.second_member()
    assert (await desk.order(REPORT, other))["status"] == "OK"
    # Nobody says any more that these are being made: their process has died.
    desk.api.clock.ahead_ms = run_store.LEASE_MS + 1
    response = await desk.api.call("GET", "report", id=first["report_id"])
    assert response["execution_status"] == "error"
    assert "has ended" in response["report"]["error"]
    assert (await desk.order(REPORT))["status"] == "OK"


async def test_a_report_that_takes_long_stays_pending(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analytics, "write_analytics", lambda *_: asyncio.sleep(3600))
    monkeypatch.setattr(runs, "RENEW_SECONDS", 0.02)
    report_id = (await desk.order(REPORT))["report_id"]
    desk.api.clock.ahead_ms = run_store.LEASE_MS - 1000
    await asyncio.sleep(0.2)
    desk.api.clock.ahead_ms = 2 * run_store.LEASE_MS - 2000
    assert (await desk.api.call("GET", "report", id=report_id))["execution_status"] == "pending"


async def test_a_report_that_takes_too_long_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analytics, "write_analytics", lambda *_: asyncio.sleep(3600))
    monkeypatch.setattr(runs, "RUN_SECONDS", 0.05)
    response = await ready(desk, (await desk.order(REPORT))["report_id"])
    assert "too long" in response["report"]["error"]


@pytest.mark.parametrize("long", [False, True], ids=["nearly done", "not done"])
async def test_what_runs_when_the_process_stops(desk: Desk, monkeypatch: pytest.MonkeyPatch, long: bool) -> None:
    write = analytics.write_analytics

    async def slow(*values: Any) -> None:
        await asyncio.sleep(3600 if long else 0.2)
        await write(*values)

    monkeypatch.setattr(analytics, "write_analytics", slow)
    monkeypatch.setattr(runs, "STOP_SECONDS", 0.6)
    report_id = (await desk.order(REPORT))["report_id"]
    await desk.api.reports.stop()
    response = await desk.api.call("GET", "report", id=report_id)
    assert response["execution_status"] == ("error" if long else "ready")


async def test_old_reports_are_removed(desk: Desk) -> None:
    report_id = (await desk.order(REPORT))["report_id"]
    await ready(desk, report_id)
    async with sql.writing(desk.api.store) as connection:
        await connection.execute(text("UPDATE report SET created_on = '2000-01-01 00:00:00'"))
    await desk.order(REPORT)
    assert (await desk.api.call("GET", "report", id=report_id))["error_code"] == "NOTFOUND_REPORT"


@pytest.mark.parametrize("report_id", ["of another member", "0" * 32, "x", "", "' OR 1=1 --", "é" * 32])
async def test_a_report_that_is_not_mine_is_unknown(desk: Desk, report_id: str) -> None:
    if report_id == "of another member":
        other = await desk.api.second_member()
        report_id = (await desk.order(REPORT, other))["report_id"]
    response = await desk.api.call("GET", "report", id=report_id)
    assert (response["error_id"], response["error_code"]) == ("SYNTAX", "NOTFOUND_REPORT")
    answer = await desk.api.send("GET", "/report-download", params={"id": report_id})
    assert answer.status_code == 404
    assert answer.json()["response"]["error_code"] == "NOTFOUND_REPORT"


FAULTS: dict[str, tuple[Json, str]] = {
    "no type": ({"report_type": None}, "report_type: required"),
    "unknown type": ({"report_type": "x"}, "report_type: must be one of"),
    "type as list": ({"report_type": ["network_analytics"]}, "report_type: must be one of"),
    "no columns": ({"columns": []}, "columns: at least one"),
    "columns as text": ({"columns": "imps"}, "columns: must be a list"),
    "unknown column": ({"columns": ["imps", "x"]}, "columns[1]: not a column"),
    "column as object": ({"columns": [{}]}, "columns[0]: not a column"),
    "repeated column": ({"columns": ["imps", "imps"]}, "columns[1]: imps is repeated"),
    "too many columns": ({"columns": ["imps"] * 1000}, "columns: must be a list of at most"),
    "no time": ({"report_interval": None}, "report_interval: must be one of"),
    "unknown interval": ({"report_interval": "soon"}, "report_interval: must be one of"),
    "interval and dates": ({"start_date": "2026-01-01", "end_date": "2026-01-02"}, "report_interval: give this, or"),
    "only a start": ({"report_interval": None, "start_date": "2026-01-01"}, "end_date: required"),
    "minutes": (
        {"report_interval": None, "start_date": "2026-01-01 00:30:00", "end_date": "2026-01-02"},
        "start_date: must be a full hour",
    ),
    "no date": ({"report_interval": None, "start_date": "yesterday", "end_date": 5}, "start_date: must be YYYY"),
    "end before start": (
        {"report_interval": None, "start_date": "2026-01-02", "end_date": "2026-01-02"},
        "end_date: must be after",
    ),
    "year 1": (
        {"report_interval": None, "start_date": "0001-01-01", "end_date": "2026-01-02"},
        "start_date: must be in the years",
    ),
    "unknown zone": ({"timezone": "../../etc/passwd"}, "timezone: not a known"),
    "deep nesting": ({"orders": json.loads("[" * 300 + "]" * 300)}, "report: is nested too deeply"),
    "half-hour zone": ({"timezone": "Asia/Kolkata"}, "timezone: the time zone is not a whole number of hours"),
    "filters as object": ({"filters": {}}, "filters: must be a list"),
    "filter as text": ({"filters": ["x"]}, "filters[0]: must be an object"),
    "no filter": ({"filters": [{"day": "2026-01-01"}]}, "filters[0].day: not a filter"),
    "filter value": ({"filters": [{"advertiser_id": "x"}]}, "filters[0].advertiser_id: must be an integer"),
    "filter beyond 64 bits": ({"filters": [{"advertiser_id": 2**63}]}, "filters[0].advertiser_id: must be an integer"),
    "filter true": ({"filters": [{"advertiser_id": True}]}, "filters[0].advertiser_id: must be an integer"),
    "filter twice": ({"filters": [{"site_id": 1}, {"site_id": 2}]}, "filters[1].site_id: given twice"),
    "having a dimension": (
        {"group_filters": [{"day": {"value": 1, "operator": ">"}}]},
        "group_filters[0].day: not a metric",
    ),
    "having no number": (
        {"group_filters": [{"imps": {"value": "NaN", "operator": ">"}}]},
        "group_filters[0].imps.value",
    ),
    "having 1e999999": (
        {"group_filters": [{"imps": {"value": "1e999999", "operator": ">"}}]},
        "group_filters[0].imps.value",
    ),
    "having no operator": ({"group_filters": [{"imps": {"value": 1}}]}, "group_filters[0].imps.operator"),
    "order by another": ({"orders": ["cost"]}, "orders[0]: must name a column"),
    "order direction": ({"orders": [{"order_by": "imps", "direction": "up"}]}, "orders[0].direction"),
    "format": ({"format": "xlsx"}, "format: must be one of csv, excel"),
    "offset": ({"offset": -1}, "offset: must be an integer"),
    "page size": ({"num_elements": 0}, "num_elements: must be an integer of at least 1"),
    "decimal type": ({"reporting_decimal_type": "dot"}, "reporting_decimal_type: must be one of"),
    "escape_fields": ({"escape_fields": "maybe"}, "escape_fields: must be true or false"),
    "name": ({"name": 5}, "name: must be a text"),
    "NUL": ({"group_filters": [{"imps": {"value": 1, "operator": ">", "x": "\0"}}]}, "report: holds a NUL"),
}


async def test_faults_are_named(desk: Desk) -> None:
    for name, (fields, told) in FAULTS.items():
        response = await desk.order({**REPORT, **fields})
        assert response["error_id"] == "SYNTAX", name
        assert told in response["error"], name
    both = await desk.order({**REPORT, "columns": ["x"], "format": "pdf", "offset": "x"})
    assert all(part in both["error"] for part in ("columns[0]", "format", "offset")), "all faults at once"


@pytest.mark.parametrize("body", [None, [], {}, {"report": []}, {"report": None}, "x"], ids=str)
async def test_a_body_without_a_report(desk: Desk, body: object) -> None:
    response = await desk.api.call("POST", "report", body)
    assert response["error_id"] == "SYNTAX"
    assert response["error"].startswith("report: ")


async def test_a_report_interval_beside_the_report_is_no_fault(desk: Desk) -> None:
    body = {"report": REPORT, "report_interval": "yesterday"}
    assert (await desk.api.call("POST", "report", body))["status"] == "OK"


@pytest.mark.parametrize("path", ["report", "report-download"])
async def test_other_methods(desk: Desk, path: str) -> None:
    assert (await desk.api.call("DELETE", path))["error_id"] == "SYNTAX"


async def test_meta(desk: Desk) -> None:
    response = await desk.api.call("GET", "report", meta="network_analytics")
    told = response["meta"]
    assert response["dbg_info"]["output_term"] == "meta"
    assert [column["column"] for column in told["columns"]] == list(ANALYTICS["network_analytics"])
    assert {"column": "month", "type": "date"} in told["columns"]
    assert {"column": "imp_type_id", "type": "int"} in told["filters"]
    assert {"column": "imps"} in told["havings"]
    assert {"current_hour", "lifetime", "mtd"} <= set(told["time_intervals"])
    every = await desk.api.call("GET", "report", meta="")
    assert set(every["meta"]) == {*ANALYTICS, *FEEDS}
    assert (await desk.api.call("GET", "report", meta="x"))["error_id"] == "SYNTAX"
