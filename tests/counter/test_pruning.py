"""Rows past their retention are deleted, and no others; rows that are dated in the future hide none of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Table, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.clock import DAY_MS, HOUR_MS, now_ms
from onebyone.contracts import events
from onebyone.counter import pruning, retention_steps
from onebyone.counter.retention import Retention
from onebyone.report_store.tables import archive, clicks, dead_letters, holes, hourly, producers
from onebyone.runtime import sql
from onebyone.settings import Settings
from tests.counter.harness import Harness, event

pytestmark = pytest.mark.anyio

RETENTION = Retention(archive_days=100, click_days=31, dead_letter_days=400, producer_days=400, rollup_days=0)


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention_steps, "STEP_ROWS", 5)
    monkeypatch.setattr(pruning, "STEP_SECONDS", 0.0)


async def prune(engine: AsyncEngine, retention: Retention = RETENTION) -> list[tuple[int, list[str]]]:
    """Prune, and return which producers the stream server was asked to forget."""
    forgotten: list[tuple[int, list[str]]] = []

    async def forget(shard: int, names: list[str]) -> None:
        forgotten.append((shard, names))

    await pruning.prune(engine, retention, asyncio.Semaphore(1), forget)
    return forgotten


async def add(engine: AsyncEngine, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows; columns that they leave out are 0, empty, or the number of the row in a key."""
    blank: dict[str, Any] = {}
    for column in table.c:
        kind = column.type.python_type
        if not column.nullable and column.autoincrement is not True:
            blank[column.name] = b"" if kind is bytes else kind()
    numbered = [{**blank, **row} for row in rows]
    if table is archive:
        numbered = [{**row, "seq": seq, "producer": row["producer"] or "p"} for seq, row in enumerate(numbered)]
    if "id" in table.c:
        numbered = [{**row, "id": number} for number, row in enumerate(numbered, start=1)]
    async with sql.writing(engine) as connection:
        await connection.execute(insert(table), numbered)


async def times(harness: Harness, table: Table, column: str) -> list[int]:
    """Return the times of a table's rows, sorted."""
    return sorted(getattr(row, column) for row in await harness.rows(table))


async def test_old_batches_and_clicks_are_removed_in_steps(each_harness: Harness) -> None:
    for seq, days in enumerate((101, 101, 101, 99, 32, 30, 0), start=1):
        each_harness.send(seq, event(kind="clk", ts=now_ms() - days * DAY_MS))
    await each_harness.drain()
    await prune(each_harness.engine)
    assert sorted(row.seq for row in await each_harness.rows(archive)) == [4, 5, 6, 7]
    assert len(await each_harness.rows(clicks)) == 2
    assert await each_harness.counted() == 7, "rollups are kept forever"


DATED = {
    "archive": (archive, "first_ts", {}, 100 * DAY_MS),
    "clicks": (clicks, "ts", {"member_id": 1}, 31 * DAY_MS),
    "dead letters": (dead_letters, "found_at", {}, 400 * DAY_MS),
    "holes": (holes, "found_at", {}, 10 * DAY_MS),
    "producers": (producers, "updated_at", {}, 400 * DAY_MS),
}


@pytest.mark.parametrize("kind", DATED)
async def test_rows_from_the_future_hide_no_old_ones(each_harness: Harness, kind: str) -> None:
    table, time, fields, kept_ms = DATED[kind]
    now = now_ms()
    future, recent, old = now + 20 * DAY_MS, now - kept_ms + HOUR_MS, now - kept_ms - HOUR_MS
    moments = [future] * 12 + [old] * 12 + [recent] * 3 + [future] * 2 + [old]
    rows: list[dict[str, Any]] = [{**fields, time: moment} for moment in moments]
    if table is producers:
        rows = [{**row, "producer": f"p{number}"} for number, row in enumerate(rows)]
    if table is archive:
        await add(each_harness.engine, producers, [{"producer": "p", "updated_at": now}])
    await add(each_harness.engine, table, rows)
    await prune(each_harness.engine, Retention(100, 31, 400, 400, 10))
    assert await times(each_harness, table, time) == [recent] * 3 + [future] * 14


async def test_rollups_from_the_future_hide_no_old_ones(each_harness: Harness) -> None:
    now = now_ms()
    hour = now // HOUR_MS * (HOUR_MS // 1000)
    hours = {name: hour + days * 86_400 for name, days in (("future", 30), ("recent", -9), ("old", -11))}
    rows = [
        {"member_id": member, "hour": at, "kind": "imp", "tracker_id": tracker, "reason": reason, "events": 1}
        for member in (0, 1, 7)
        for at in hours.values()
        for tracker in range(1, 5)
        for reason in (events.NET, "head", "robot")
    ]
    await add(each_harness.engine, hourly, rows)
    await prune(each_harness.engine)
    assert len(await each_harness.rows(hourly)) == len(rows), "by default sums are kept for ever"
    await prune(each_harness.engine, Retention(100, 31, 400, 400, 10))
    left = await each_harness.rows(hourly)
    assert {row.hour for row in left} == {hours["future"], hours["recent"]}
    assert len(left) == len(rows) // 3 * 2


async def test_no_step_leaves_some_reasons_of_an_hour(each_harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = (events.NET, "head", "prefetch", "robot")
    old = (now_ms() // HOUR_MS - 24 * 20) * (HOUR_MS // 1000)
    rows = [
        {"member_id": 1, "hour": old + 3600 * at, "kind": kind, "tracker_id": tracker, "reason": reason}
        for at in range(3)
        for kind in ("clk", "imp")
        for tracker in range(3)
        for reason in reasons
    ]
    await add(each_harness.engine, hourly, rows)
    partial: list[int] = []

    async def look(_: float) -> None:
        groups: dict[tuple[int, str, int], int] = {}
        for row in await each_harness.rows(hourly):
            key = (row.hour, row.kind, row.tracker_id)
            groups[key] = groups.get(key, 0) + 1
        partial.append(sum(count != len(reasons) for count in groups.values()))

    monkeypatch.setattr(asyncio, "sleep", look)
    await prune(each_harness.engine, Retention(100, 31, 400, 400, 10))
    monkeypatch.undo()
    assert len(partial) > 5
    assert not any(partial)
    assert not await each_harness.rows(hourly)


async def test_clicks_further_ahead_than_any_feed_asks_are_deleted(each_harness: Harness) -> None:
    now = now_ms()
    await add(each_harness.engine, producers, [{"producer": "p", "updated_at": now}])
    moments = [now + days * DAY_MS for days in (0, 30, 32, 40_000)]
    await add(each_harness.engine, clicks, [{"member_id": 3, "ts": ts} for ts in moments for _ in range(7)])
    await prune(each_harness.engine)
    assert set(await times(each_harness, clicks, "ts")) == set(moments[:2])


async def test_a_clock_that_is_not_set_deletes_nothing(each_harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a battery starts in 1970: then all rows look as if they were dated ahead."""
    now = now_ms()
    await add(each_harness.engine, producers, [{"producer": "p", "updated_at": now}])
    await add(each_harness.engine, clicks, [{"member_id": 3, "ts": now}])
    await add(each_harness.engine, archive, [{"producer": "p", "first_ts": now}])
    monkeypatch.setattr(pruning, "now_ms", lambda: 60_000)
    await prune(each_harness.engine)
    assert [len(await each_harness.rows(table)) for table in (clicks, archive, producers)] == [1, 1, 1]


async def test_batches_dated_ahead_go_when_their_producer_has_been_silent(each_harness: Harness) -> None:
    now = now_ms()
    seen = {"silent": now - 101 * DAY_MS, "alive": now - 99 * DAY_MS}
    await add(each_harness.engine, producers, [{"producer": name, "updated_at": at} for name, at in seen.items()])
    rows = [{"producer": name, "first_ts": now + 5000 * DAY_MS} for name in ("silent", "alive", "forgotten") * 4]
    await add(each_harness.engine, archive, rows)
    await prune(each_harness.engine)
    assert {row.producer for row in await each_harness.rows(archive)} == {"alive"}


async def test_silent_producers_are_forgotten_unless_a_batch_is_missing(each_harness: Harness) -> None:
    old = now_ms() - 401 * DAY_MS
    counted = {"seq": 5, "seen": 5, "updated_at": old}
    rows: list[dict[str, Any]] = [{"producer": f"p{number}", "shard": number % 2, **counted} for number in range(8)]
    rows += [{"producer": "waits", "seq": 5, "seen": 6, "updated_at": old}]
    rows += [{"producer": "alive", "seq": 5, "seen": 5, "updated_at": now_ms()}]
    await add(each_harness.engine, producers, rows)
    forgotten = await prune(each_harness.engine)
    assert {row.producer for row in await each_harness.rows(producers)} == {"waits", "alive"}
    assert sorted(name for _, names in forgotten for name in names) == [f"p{number}" for number in range(8)]
    assert all(int(name[1:]) % 2 == shard for shard, names in forgotten for name in names)


async def test_a_failure_of_one_kind_delays_no_other(each_harness: Harness) -> None:
    old = now_ms() - 500 * DAY_MS
    await add(each_harness.engine, producers, [{"producer": "p", "updated_at": old}])
    await add(each_harness.engine, dead_letters, [{"found_at": old}])

    async def fail(_: int, __: list[str]) -> None:
        raise OSError("the stream server is away")

    with pytest.raises(OSError, match="stream server"):
        await pruning.prune(each_harness.engine, RETENTION, asyncio.Semaphore(1), fail)
    assert not await each_harness.rows(dead_letters)
    assert await each_harness.rows(producers), "it is tried again in the next round"


@pytest.mark.parametrize(
    ("given", "effective"),
    [
        ({}, Retention(100, 31, 400, 400, 0)),
        ({"archive_days": 900}, Retention(900, 31, 900, 900, 0)),
        ({"dead_letter_days": 0, "producer_days": 0}, Retention(100, 31, 0, 0, 0)),
        ({"archive_days": 7, "click_days": 7, "rollup_days": 30}, Retention(7, 7, 400, 400, 30)),
    ],
)
async def test_what_the_archive_needs_is_kept_as_long(given: dict[str, int], effective: Retention) -> None:
    assert Retention.of(Settings(**given)) == effective  # type: ignore[arg-type]
