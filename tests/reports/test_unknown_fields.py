"""Fields and parameters of `/report` without a meaning are named in a warning each, and change nothing."""

from __future__ import annotations

from typing import Any

import pytest

from onebyone.reports.report_request import FIELDS
from onebyone.reports.unknown_fields import WARNINGS_MAX, warn_of_unknown_fields
from tests.reports.report_harness import ReportHarness
from tests.support.api_harness import Json

pytestmark = pytest.mark.anyio

REPORT: Json = {"report_type": "network_analytics", "columns": ["day", "imps"], "report_interval": "last_2_days"}


@pytest.mark.parametrize(
    ("fields", "paths"),
    [
        ({"emails": ["a@b.example"], "saved_report_id": 5, "foo": None}, ["emails", "saved_report_id", "foo"]),
        ({"orders": [{"order_by": "imps", "direction": "ASC", "x": 1}, "day"]}, ["orders.0.x"]),
        ({"group_filters": [{"imps": {"operator": ">", "value": 1, "y": 2}}]}, ["group_filters.0.imps.y"]),
        ({"name": "n", "format": "csv", "offset": 0, "timezone": "UTC", "escape_fields": True}, []),
        ({"orders": 5, "group_filters": [5, {"imps": 5}]}, []),
        ({"x" * 1000: 1}, ["x" * (200 - len("report."))]),
    ],
)
def test_unknown_fields_of_a_request(fields: Json, paths: list[str]) -> None:
    warnings: list[str] = []
    warn_of_unknown_fields({**REPORT, **fields}, FIELDS, (), warnings)
    assert warnings == [f"unknown field not used: report.{path}" for path in paths]


def test_warnings_are_bounded() -> None:
    warnings: list[str] = []
    warn_of_unknown_fields({str(number): 1 for number in range(1000)}, FIELDS, (), warnings)
    assert len(warnings) == WARNINGS_MAX


@pytest.mark.parametrize(
    ("beside", "query", "warnings"),
    [
        ({}, {}, []),
        ({}, {"advertiser_id": 1, "publisher_id": 2}, []),
        ({"report_interval": "today"}, {}, ["unknown field not used: report_interval"]),
        ({"emails": ["x"]}, {"foo": 1}, ["query parameter not used: foo", "unknown field not used: emails"]),
    ],
    ids=["nothing", "owners", "a second interval", "unknown ones"],
)
async def test_names_beside_the_report_and_parameters(
    reports: ReportHarness, beside: Json, query: Json, warnings: list[str]
) -> None:
    ordered = await reports.api.call("POST", "report", {"report": REPORT, **beside}, **query)
    assert (ordered["status"], ordered["dbg_info"]["warnings"]) == ("OK", warnings)


async def test_an_interval_beside_the_report_is_used_without_a_warning(reports: ReportHarness) -> None:
    fields = {name: value for name, value in REPORT.items() if name != "report_interval"}
    ordered = await reports.api.call("POST", "report", {"report": fields, "report_interval": "today"})
    assert (ordered["status"], ordered["dbg_info"]["warnings"]) == ("OK", [])


@pytest.mark.parametrize(
    ("service", "query"),
    [
        ("report", {"meta": "network_analytics"}),
        ("lookup", {"type": "site"}),
        ("object-limit", {"object_type": "site"}),
        ("currency", {"code": "EUR", "show_rate": "true"}),
        ("label", {"object_type": "publisher"}),
        ("adserver", {"num_elements": 1}),
    ],
)
async def test_parameters_of_reads(reports: ReportHarness, service: str, query: dict[str, Any]) -> None:
    plain = await reports.api.call("GET", service, None, **query)
    assert (plain["status"], plain["dbg_info"]["warnings"]) == ("OK", [])
    more = await reports.api.call("GET", service, None, **query, foo="x")
    assert more["dbg_info"]["warnings"] == ["query parameter not used: foo"]
    assert {**more, "dbg_info": 0} == {**plain, "dbg_info": 0}
