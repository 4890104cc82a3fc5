"""Columns of limited users: every column, kind of user, report type and way to name a column."""

from __future__ import annotations

import csv
import io
import re
import time
from pathlib import Path
from typing import Any

import pytest

from onebyone.reports.column_permissions import LIMITED_KINDS, permitted_columns
from onebyone.reports.columns import ANALYTICS, FEEDS, REPORT_TYPES, Dimension, Metric
from tests.reports.report_harness import ReportHarness
from tests.support.api_harness import PASSWORD, Client, Json

pytestmark = pytest.mark.anyio

BOTH = "hour day month entity_member_id seller_member_id seller_member_name buyer_member_id buyer_member_name"
BOTH += " imp_type_id imp_type creative_id creative_name creative_code"
BOTH += " imps clicks external_impression external_click ctr"
SEEN = {
    "advertiser": BOTH
    + " advertiser_id advertiser_name advertiser_code line_item_id line_item_name line_item_code"
    + " insertion_order_id insertion_order_name insertion_order_code booked_revenue revenue rpm",
    "publisher": BOTH
    + " publisher_id publisher_name publisher_code site_id site_name placement_id placement_name placement_code"
    + " pub_rule_id pub_rule_name pub_rule_code cost cpm",
}
KINDS = pytest.mark.parametrize("kind", ["advertiser", "publisher"])


async def limited_user(reports: ReportHarness, kind: str, owner: int) -> Client:
    fields = {"username": kind, "password": PASSWORD, "user_type": kind, f"{kind}_id": owner}
    await reports.api.create("user", fields)
    return await reports.api.login(kind, PASSWORD)


async def world(reports: ReportHarness) -> Json:
    """Create two advertisers and two publishers with one event of each pair."""
    first, second = await reports.api.world(), await reports.api.world()
    pairs = [(a, p) for a in (first, second) for p in (first, second)]
    await reports.record(
        *(
            {"advertiser_id": a["advertiser"], "publisher_id": p["publisher"], "line_item_id": a["line-item"]}
            for a, p in pairs
        )
    )
    return first


def report_of(column: str, **fields: Any) -> Json:
    return {"report_type": "network_analytics", "columns": [column], "report_interval": "lifetime", **fields}


def test_every_column_has_a_row() -> None:
    assert set(LIMITED_KINDS) == set(REPORT_TYPES)
    for report_type, columns in (*ANALYTICS.items(), *FEEDS.items()):
        assert set(LIMITED_KINDS[report_type]) == set(columns)


def test_the_document_has_every_column() -> None:
    text = (Path(__file__).parents[2] / "docs" / "endpoints.md").read_text()
    table = text.partition("| columns of `network_analytics` |")[2].partition("\n\n")[0]
    documented: dict[str, set[str]] = {}
    for line in table.splitlines()[2:]:
        names, *words = line.strip("|").split("|")
        kinds = {kind for kind, word in zip(SEEN, words, strict=True) if word.strip() == "yes"}
        documented |= dict.fromkeys(re.findall(r"`(\w+)`", names), kinds)
    assert documented == LIMITED_KINDS["network_analytics"]


@KINDS
async def test_every_column_in_every_way_to_name_it(reports: ReportHarness, kind: str) -> None:
    own = await world(reports)
    client = await limited_user(reports, kind, own[kind])
    seen = set(SEEN[kind].split())
    for name, column in ANALYTICS["network_analytics"].items():
        ways: dict[str, Json] = {
            "columns[0]": report_of(name),
            "orders[0]": report_of("day", orders=[{"order_by": name}]),
            "orders[1]": report_of("day", orders=["day", name]),
        }
        if isinstance(column, Dimension) and column.filterable and name != f"{kind}_id":
            ways[f"filters[0].{name}"] = report_of("day", filters=[{name: [1]}])
        if isinstance(column, Metric):
            ways[f"group_filters[0].{name}"] = report_of("day", group_filters=[{name: {"value": 0, "operator": ">="}}])
        reason = f"a user of one {kind} may not ask for {name}"
        for path, report in ways.items():
            answer = await reports.order(report, client)
            if name in seen:
                assert reason not in answer.get("error", ""), (name, path)
                assert answer["status"] == "OK" or path.startswith("orders"), (name, path, answer)
                if answer["status"] == "OK":
                    await client.send("GET", f"/report-download?id={answer['report_id']}")
            else:
                assert answer["error_id"] == "SYNTAX", (name, path)
                assert f"{path}: {reason}" in answer["error"], (name, path)
            # The limit is of the user, not of the report type.
            whole = await reports.order({**report, "name": "whole"})
            assert "may not ask" not in whole.get("error", "")
            if whole["status"] == "OK":
                await reports.api.send("GET", f"/report-download?id={whole['report_id']}")


@KINDS
async def test_owner_in_the_query_string(reports: ReportHarness, kind: str) -> None:
    own = await world(reports)
    client = await limited_user(reports, kind, own[kind])
    other = "publisher" if kind == "advertiser" else "advertiser"
    answer = await reports.order(report_of("imps"), client, **{f"{other}_id": own[other]})
    assert f"{other}_id: a user of one {kind} may not ask for {other}_id" in answer["error"]


@KINDS
async def test_rows_are_those_of_the_user(reports: ReportHarness, kind: str) -> None:
    own = await world(reports)
    client = await limited_user(reports, kind, own[kind])
    names = " ".join(permitted_columns("network_analytics", kind))  # type: ignore[arg-type]
    report = report_of("", columns=names.split())
    file = await reports.download(report, client)
    rows = list(csv.DictReader(io.StringIO(file.text, newline="")))
    assert {row[f"{kind}_id"] for row in rows} == {str(own[kind])}
    assert sum(int(row["imps"]) for row in rows) == 2
    assert (
        sum(int(row["imps"]) for row in csv.DictReader(io.StringIO((await reports.download(report_of("imps"))).text)))
        == 4
    )


@KINDS
async def test_meta_lists_what_the_user_may_ask_for(reports: ReportHarness, kind: str) -> None:
    own = await reports.api.world()
    client = await limited_user(reports, kind, own[kind])
    every = (await client.call("GET", "report", meta=""))["meta"]
    assert set(every) == {"network_analytics"}
    for meta in (every["network_analytics"], (await client.call("GET", "report", meta="network_analytics"))["meta"]):
        seen = set(SEEN[kind].split())
        assert {column["column"] for column in meta["columns"]} == seen
        assert {column["column"] for column in meta["filters"]} <= seen
        assert {column["column"] for column in meta["havings"]} <= seen
        assert {"column": f"{kind}_id", "type": "int"} in meta["filters"]
    assert (await client.call("GET", "report", meta="clicktrackers"))["error_id"] == "SYNTAX"


@KINDS
async def test_feeds_are_for_whole_members(reports: ReportHarness, kind: str) -> None:
    own = await reports.api.world()
    client = await limited_user(reports, kind, own[kind])
    day = time.strftime("%Y-%m-%d", time.gmtime())
    dates = {"start_date": day, "end_date": f"{day} 01:00:00"}
    for name in FEEDS["clicktrackers"]:
        answer = await reports.order({"report_type": "clicktrackers", "columns": [name], **dates}, client)
        assert answer["error_id"] == "UNAUTH", name


@KINDS
async def test_files_of_others_and_of_earlier_rights(reports: ReportHarness, kind: str) -> None:
    own = await world(reports)
    client = await limited_user(reports, kind, own[kind])
    other = "publisher" if kind == "advertiser" else "advertiser"
    across = await limited_user(reports, other, own[other])
    await reports.api.create("user", {"username": "whole", "password": PASSWORD})
    whole = await reports.api.login("whole", PASSWORD)
    ordered = [(await reports.order(report_of("profit"), each))["report_id"] for each in (reports.api, whole)]
    ordered.append((await reports.order(report_of("imps"), across))["report_id"])
    user_id = (await whole.call("GET", "user", current=1))["user"]["id"]
    assert "profit" in (await whole.send("GET", f"/report-download?id={ordered[1]}")).text
    change = {"user_type": kind, f"{kind}_id": own[kind]}
    await reports.api.put("user", user_id, change)
    whole = await reports.api.login("whole", PASSWORD)
    for each in (client, whole):
        for report_id in ordered:
            assert "not found" in (await each.call("GET", "report", id=report_id))["error"]
            assert (await each.send("GET", f"/report-download?id={report_id}")).status_code == 404
    report_id = (await reports.order(report_of("imps"), whole))["report_id"]
    await reports.api.put("user", user_id, {"last_name": "Changed"})
    assert (await whole.send("GET", f"/report-download?id={report_id}")).status_code == 200, "the same rights"
