"""Events that are kept and not counted: sums of their own, without money, and in no documented column."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, select

from onebyone.check import report_store
from onebyone.clock import now_ms
from onebyone.contracts import events
from onebyone.contracts.events import AS_OF
from onebyone.report_store import tables
from onebyone.runtime import sql
from tests.counter.harness import Harness, event

pytestmark = pytest.mark.anyio

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
PAID: dict[str, Any] = {"ua": AGENT, "ancost": 250_000, "terms": {"pricing_type": "cpm", "revenue_value": 2_000_000}}
SUMMARY: dict[str, Any] = {"tracker_id": 0, **dict.fromkeys(AS_OF, 0)}


async def test_events_are_summed_by_reason_and_only_counted_ones_have_money(each_harness: Harness) -> None:
    ts = now_ms()
    each_harness.send(
        1,
        *(event(ts=ts, **PAID) for _ in range(3)),
        *(event(ts=ts, reason=reason, **PAID) for reason in ("prefetch", "inactive", "prefetch")),
        event(ts=ts, kind="clk", **PAID),
        event(ts=ts, kind="clk", reason="head", **PAID),
        event(ts=ts, v=1, **PAID),
    )
    await each_harness.drain()
    rows = {(row.kind, row.reason): row for row in await each_harness.rows(tables.hourly)}
    assert {key: row.events for key, row in rows.items()} == {
        ("imp", ""): 4,
        ("imp", "prefetch"): 2,
        ("imp", "inactive"): 1,
        ("clk", ""): 1,
        ("clk", "head"): 1,
    }
    assert rows["imp", ""].cost_units == 1
    assert rows["imp", ""].revenue_nanos == 4 * 2_000_000
    for (_, reason), row in rows.items():
        money = (row.cost_units, row.cost_nanos, row.revenue_units, row.revenue_nanos)
        assert any(money) == (reason == events.NET)
    assert len(await each_harness.rows(tables.clicks)) == 1


async def test_a_class_is_the_reason_of_events_without_one_and_changes_nothing_else(each_harness: Harness) -> None:
    """Of both ways to count: without the texts that edges write, a record is parsed whole."""
    ts = now_ms()
    texts = {"ip": "203.0.113.0", "ref": "https://news.example/", "cb": "1"}
    for seq, more in enumerate(({}, texts), 1):
        robots = [event(ts=ts, kind=kind, **{**PAID, **more, "ua": "curl/8.11.0"}) for kind in ("imp", "clk")]
        kept = event(ts=ts, reason="head", **{**PAID, **more, "ua": "curl/8.11.0"})
        each_harness.send(seq, *robots, kept, event(ts=ts, **PAID, **more), event(ts=ts, **{**PAID, "ua": None}))
    await each_harness.drain()
    rows = {(row.kind, row.reason): row for row in await each_harness.rows(tables.hourly)}
    assert {key: row.events for key, row in rows.items()} == {
        ("imp", ""): 2,
        ("imp", "head"): 2,
        ("imp", "http_library"): 2,
        ("imp", "no_agent"): 2,
        ("clk", "http_library"): 2,
    }
    assert {(row.cost_nanos, row.revenue_nanos) for (kind, reason), row in rows.items() if kind == "imp"} == {
        (0, 0),
        (500_000_000, 2 * 2_000_000),
    }
    assert rows["clk", "http_library"].cost_nanos == 500_000_000
    assert len(await each_harness.rows(tables.clicks)) == 2
    async with sql.reading(each_harness.engine, snapshot=True) as connection:
        (found,) = await report_store.check_sums(connection, 100, 0)
    assert not found.wrong


async def test_summaries_count_as_many_requests_as_they_say(each_harness: Harness) -> None:
    ts = now_ms()
    for seq, requests in enumerate((17, 5), 1):
        each_harness.send(seq, event(ts=ts, reason="unknown_id", requests=requests, **SUMMARY))
        await each_harness.drain()
    (row,) = await each_harness.rows(tables.hourly)
    assert (row.member_id, row.tracker_id, row.kind, row.reason, row.events) == (0, 0, "imp", "unknown_id", 22)


async def test_the_check_counts_reasons_again(harness: Harness) -> None:
    ts = now_ms()
    harness.send(
        1, event(ts=ts), event(ts=ts, reason="head"), event(ts=ts, reason="bad_id", requests=9, **SUMMARY), event(v=1)
    )
    await harness.drain()
    async with sql.reading(harness.engine, snapshot=True) as connection:
        (found,) = await report_store.check_sums(connection, 100, 0)
    assert not found.wrong
    assert found.text.startswith("12 archived events counted again: equal")
    async with sql.writing(harness.engine) as connection:
        changed = tables.hourly.update().where(tables.hourly.c.reason == "head").values(reason="prefetch")
        await connection.execute(changed)
    async with sql.reading(harness.engine, snapshot=True) as connection:
        (found,) = await report_store.check_sums(connection, 100, 0)
    assert found.wrong


@pytest.mark.parametrize(
    ("net", "robots", "wrong"), [(3, 2, False), (0, 5, False), (5, 0, False), (3, 3, True), (5, 3, True), (0, 4, True)]
)
async def test_the_check_compares_classified_sums_together_with_net_ones(
    harness: Harness, net: int, robots: int, wrong: bool
) -> None:
    ts = now_ms()
    harness.send(1, *(event(ts=ts, ua=AGENT) for _ in range(5)), event(ts=ts, reason="head"))
    await harness.drain()
    async with sql.writing(harness.engine) as connection:
        sums = (await connection.execute(select(tables.hourly).where(tables.hourly.c.reason == ""))).mappings().one()
        await connection.execute(tables.hourly.delete().where(tables.hourly.c.reason == ""))
        for reason, number in (("", net), ("robot", robots)):
            if number:
                await connection.execute(insert(tables.hourly).values({**sums, "reason": reason, "events": number}))
    async with sql.reading(harness.engine, snapshot=True) as connection:
        (found,) = await report_store.check_sums(connection, 100, 0)
    assert found.wrong == wrong


async def test_a_bad_reason_becomes_a_dead_letter(harness: Harness) -> None:
    harness.send(1, event(reason="No code"), event())
    await harness.drain()
    assert [letter.reason for letter in await harness.rows(tables.dead_letters)] == ["bad_event"]
    assert await harness.counted() == 1
