"""The report service over HTTP: envelopes, faults by field, limits, waiting and ownership."""

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
from tests.reports.report_harness import ReportHarness
from tests.support.api_harness import Json

pytestmark = pytest.mark.anyio

REPORT: Json = {"report_type": "network_analytics", "columns": ["day", "imps"], "report_interval": "last_2_days"}
"""Two days, so that it includes an event of now just after midnight as well."""


async def finished(reports: ReportHarness, report_id: str) -> Json:
    """Return the response to GET /report once the run has ended."""
    while True:
        response = await reports.api.call("GET", "report", id=report_id)
        if response["execution_status"] != "pending":
            return response
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)
async def test_order_status_and_download(reports: ReportHarness) -> None:
    await reports.record({})
    ordered = await reports.order({**REPORT, "name": "mine", "emails": ["x"], "unknown": "\0"})
    report_id = ordered["report_id"]
    assert len(report_id) == 32
    response = await finished(reports, report_id)
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
    assert (await reports.api.send("GET", f"/{report['url']}")).text.startswith("day,imps\r\n")


@pytest.mark.parametrize(
    ("inside", "interval"),
    [
        ({}, "lifetime"),
        ({"report_interval": "today"}, "today"),
        ({"start_date": "2026-01-01", "end_date": "2026-01-02"}, None),
    ],
    ids=["used without another", "ignored beside an interval", "ignored beside dates"],
)
async def test_interval_beside_report_fields(reports: ReportHarness, inside: Json, interval: str | None) -> None:
    report = {"report_type": "network_analytics", "columns": ["imps"], **inside}
    ordered = await reports.api.call("POST", "report", {"report": report, "report_interval": "lifetime"})
    shown = (await finished(reports, ordered["report_id"]))["report"]
    assert orjson.loads(shown["json_request"])["report"].get("report_interval") == interval


async def test_download_waits_for_pending_report(reports: ReportHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    write = analytics.write_analytics

    async def slow(*values: Any) -> None:
        await asyncio.sleep(0.5)
        await write(*values)

    monkeypatch.setattr(analytics, "write_analytics", slow)
    assert (await reports.download(REPORT)).text == "day,imps\r\n"


async def test_download_of_pending_report_times_out(reports: ReportHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analytics, "write_analytics", lambda *_: asyncio.sleep(3600))
    monkeypatch.setattr(service, "WAIT_SECONDS", 0.1)
    answer = await reports.download(REPORT)
    assert answer.status_code == 503
    assert answer.json()["response"]["error_code"] == "SERVICE_UNAVAILABLE"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ReportFailure("too large"), "too large"),
        (OSError("secret"), "a store is not available"),
        (KeyError("secret"), "internal error"),
    ],
    ids=["refused", "store unreachable", "defect"],
)
async def test_failed_report_tells_reason(
    reports: ReportHarness, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(analytics, "write_analytics", fail)
    response = await finished(reports, (await reports.order(REPORT))["report_id"])
    assert response["execution_status"] == "error"
    assert reason in response["report"]["error"]
    assert "secret" not in str(response)
    assert (await reports.download(REPORT)).status_code == 500


async def test_limit_of_pending_reports(reports: ReportHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analytics, "write_analytics", lambda *_: asyncio.sleep(3600))
    first = await reports.order(REPORT)
    for _ in range(run_store.PENDING_MAX - 1):
        assert (await reports.order(REPORT))["status"] == "OK"
    assert (await reports.order(REPORT))["error_id"] == "LIMIT"
    other = await reports.api.second_member()
    assert (await reports.order(REPORT, other))["status"] == "OK"
    # Their leases have expired, as if their process had died.
    reports.api.clock.ahead_ms = run_store.LEASE_MS + 1
    response = await reports.api.call("GET", "report", id=first["report_id"])
    assert response["execution_status"] == "error"
    assert "has ended" in response["report"]["error"]
    assert (await reports.order(REPORT))["status"] == "OK"


async def test_lease_of_long_report_is_renewed(reports: ReportHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analytics, "write_analytics", lambda *_: asyncio.sleep(3600))
    monkeypatch.setattr(runs, "RENEW_SECONDS", 0.02)
    report_id = (await reports.order(REPORT))["report_id"]
    reports.api.clock.ahead_ms = run_store.LEASE_MS - 1000
    await asyncio.sleep(0.2)
    reports.api.clock.ahead_ms = 2 * run_store.LEASE_MS - 2000
    assert (await reports.api.call("GET", "report", id=report_id))["execution_status"] == "pending"


async def test_report_times_out(reports: ReportHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analytics, "write_analytics", lambda *_: asyncio.sleep(3600))
    monkeypatch.setattr(runs, "RUN_SECONDS", 0.05)
    response = await finished(reports, (await reports.order(REPORT))["report_id"])
    assert "too long" in response["report"]["error"]


@pytest.mark.parametrize("long", [False, True], ids=["nearly done", "not done"])
async def test_stop_waits_for_reports_that_are_nearly_done(
    reports: ReportHarness, monkeypatch: pytest.MonkeyPatch, long: bool
) -> None:
    write = analytics.write_analytics

    async def slow(*values: Any) -> None:
        await asyncio.sleep(3600 if long else 0.2)
        await write(*values)

    monkeypatch.setattr(analytics, "write_analytics", slow)
    monkeypatch.setattr(runs, "STOP_SECONDS", 0.6)
    report_id = (await reports.order(REPORT))["report_id"]
    await reports.api.reports.stop()
    response = await reports.api.call("GET", "report", id=report_id)
    assert response["execution_status"] == ("error" if long else "ready")


async def test_old_reports_are_deleted(reports: ReportHarness) -> None:
    report_id = (await reports.order(REPORT))["report_id"]
    await finished(reports, report_id)
    async with sql.writing(reports.api.store) as connection:
        await connection.execute(text("UPDATE report SET created_on = '2000-01-01 00:00:00'"))
    await reports.api.reports.prune(24)
    assert (await reports.api.call("GET", "report", id=report_id))["error_code"] == "NOTFOUND_REPORT"


@pytest.mark.parametrize("report_id", ["of another member", "0" * 32, "x", "", "' OR 1=1 --", "é" * 32])
async def test_unknown_and_foreign_reports_are_not_found(reports: ReportHarness, report_id: str) -> None:
    if report_id == "of another member":
        other = await reports.api.second_member()
        report_id = (await reports.order(REPORT, other))["report_id"]
    response = await reports.api.call("GET", "report", id=report_id)
    assert (response["error_id"], response["error_code"]) == ("SYNTAX", "NOTFOUND_REPORT")
    answer = await reports.api.send("GET", "/report-download", params={"id": report_id})
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
    "alias of such a zone": ({"timezone": "Asia/Calcutta"}, "timezone: the time zone is not a whole number of hours"),
    "half an hour of daylight saving": (
        {"report_interval": "lifetime", "timezone": "Australia/Lord_Howe"},
        "timezone: the time zone is not a whole number of hours away from UTC at all times",
    ),
    "zone of the machine": ({"timezone": "localtime"}, "timezone: not a known time zone"),
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


async def test_every_fault_names_its_field(reports: ReportHarness) -> None:
    for name, (fields, fault) in FAULTS.items():
        response = await reports.order({**REPORT, **fields})
        assert response["error_id"] == "SYNTAX", name
        assert fault in response["error"], name
    both = await reports.order({**REPORT, "columns": ["x"], "format": "pdf", "offset": "x"})
    assert all(part in both["error"] for part in ("columns[0]", "format", "offset")), "all faults at once"


@pytest.mark.parametrize("body", [None, [], {}, {"report": []}, {"report": None}, "x"], ids=str)
async def test_body_without_report(reports: ReportHarness, body: object) -> None:
    response = await reports.api.call("POST", "report", body)
    assert response["error_id"] == "SYNTAX"
    assert response["error"].startswith("report: ")


async def test_interval_in_and_beside_report_is_accepted(reports: ReportHarness) -> None:
    body = {"report": REPORT, "report_interval": "yesterday"}
    assert (await reports.api.call("POST", "report", body))["status"] == "OK"


@pytest.mark.parametrize("path", ["report", "report-download"])
async def test_unsupported_methods(reports: ReportHarness, path: str) -> None:
    assert (await reports.api.call("DELETE", path))["error_id"] == "SYNTAX"


async def test_meta(reports: ReportHarness) -> None:
    response = await reports.api.call("GET", "report", meta="network_analytics")
    meta = response["meta"]
    assert response["dbg_info"]["output_term"] == "meta"
    assert [column["column"] for column in meta["columns"]] == list(ANALYTICS["network_analytics"])
    assert {"column": "month", "type": "date"} in meta["columns"]
    assert {"column": "imp_type_id", "type": "int"} in meta["filters"]
    assert {"column": "imps"} in meta["havings"]
    assert {"current_hour", "lifetime", "mtd"} <= set(meta["time_intervals"])
    every = await reports.api.call("GET", "report", meta="")
    assert set(every["meta"]) == {*ANALYTICS, *FEEDS}
    assert (await reports.api.call("GET", "report", meta="x"))["error_id"] == "SYNTAX"
