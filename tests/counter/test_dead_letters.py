"""Dead letters are listed safely, and counted once when they can be read."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from sqlalchemy import insert, update

from onebyone.clock import now_ms
from onebyone.contracts import batches, keys
from onebyone.contracts.events import Upgrade
from onebyone.counter import counting, dead_letters, terms
from onebyone.counter.dead_letters import Outcome, Replayed
from onebyone.report_store import tables
from onebyone.runtime import sql
from tests.counter.lane import Lane, batch, event

pytestmark = pytest.mark.anyio


READABLE: dict[int, Upgrade] = {0: lambda record: record | {"kind": "imp"}}
"""A release that can read version 0."""


async def replay(lane: Lane, reason: str | None = None, limit: int | None = None, **more: Any) -> list[Replayed]:
    return [done async for done in dead_letters.replay(lane.engine, reason, limit, **more)]


def outcomes(done: list[Replayed]) -> list[str]:
    return [one.outcome.value for one in done]


async def test_records_are_counted_once_they_can_be_read(each_lane: Lane) -> None:
    lane = each_lane
    lane.send(1, event(), event(v=0, kind="view"), event(v=0, kind="view"), b"not JSON")
    await lane.drain()
    assert await lane.counted() == 1
    assert outcomes(await replay(lane)) == ["unreadable"] * 3
    assert await lane.counted() == 1
    assert outcomes(await replay(lane, upgrades=READABLE)) == ["counted", "counted", "unreadable"]
    assert await lane.counted() == 3
    assert outcomes(await replay(lane, upgrades=READABLE)) == ["unreadable"]
    assert await lane.counted() == 3
    assert len(await lane.rows(tables.archive)) == 1


async def test_events_go_to_the_hour_of_their_receipt(lane: Lane) -> None:
    long_ago = 1_600_000_000_000
    lane.send(1, event(v=0, ts=long_ago))
    await lane.drain()
    await replay(lane, upgrades=READABLE)
    (row,) = await lane.rows(tables.hourly)
    assert row.hour == long_ago // 3_600_000 * 3600


@pytest.mark.parametrize(
    ("reason", "limit", "expected"),
    [("unknown_version", None, 2), ("bad_json", None, 1), (None, 1, 1), (None, None, 3), ("none such", None, 0)],
)
async def test_reason_and_limit(lane: Lane, reason: str | None, limit: int | None, expected: int) -> None:
    lane.send(1, event(v=0), b"not JSON", event(v=0))
    await lane.drain()
    assert len(await replay(lane, reason, limit)) == expected
    assert len([letter async for letter in dead_letters.read(lane.engine, reason, limit)]) == expected


async def test_more_letters_than_one_transaction_takes(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "PAGE", 3)
    lane.send(1, *(event(v=0) for _ in range(8)))
    await lane.drain()
    assert len(await replay(lane, limit=7, upgrades=READABLE)) == 7
    assert await lane.counted() == 7
    assert len(await replay(lane, upgrades=READABLE)) == 1
    assert await lane.counted() == 8


async def test_two_replays_at_once_count_once(each_lane: Lane) -> None:
    lane = each_lane
    lane.send(1, *(event(v=0) for _ in range(50)))
    await lane.drain()
    await asyncio.gather(*(replay(lane, upgrades=READABLE) for _ in range(3)))
    assert await lane.counted() == 50
    assert await lane.rows(tables.dead_letters) == []


async def test_a_replay_beside_a_running_counter(each_lane: Lane) -> None:
    lane = each_lane
    lane.send(1, *(event(v=0) for _ in range(20)))
    await lane.drain()
    async with lane.counter():
        for seq in range(2, 12):
            lane.send(seq)
        await replay(lane, upgrades=READABLE)
    assert await lane.counted() == 30


async def test_a_batch_that_could_not_be_unpacked(each_lane: Lane) -> None:
    lane = each_lane
    good = batch(lane.producer, 1, event(), event(), b"not JSON")
    lane.client.xadd(keys.events(0), batches.to_entry(good) | {"z": b"broken"})  # type: ignore[arg-type]
    lane.send(2)
    await lane.drain()
    assert await lane.counted() == 1
    # Somebody repairs it by hand.
    fields = {key: value if isinstance(value, str) else str(value) for key, value in batches.to_entry(good).items()}
    fields["z"] = good.payload.decode("latin-1")
    async with sql.writing(lane.engine) as connection:
        await connection.execute(update(tables.dead_letters).values(raw=orjson.dumps(fields)))
    (done,) = await replay(lane)
    assert (done.outcome, done.events, done.letters) == (Outcome.COUNTED, 2, 1)
    assert await lane.counted() == 3
    assert [(letter.line, letter.reason) for letter in await lane.rows(tables.dead_letters)] == [(2, "bad_json")]
    assert {row.seq for row in await lane.rows(tables.archive)} == {1, 2}


@pytest.mark.parametrize(
    ("seq", "outcome", "counted"),
    [(1, "duplicate", 1), (2, "counted", 2), (3, "waiting", 1)],
    ids=["counted meanwhile under its name", "next of its producer", "an earlier one is missing"],
)
async def test_an_entry_whose_name_could_not_be_read(each_lane: Lane, seq: int, outcome: str, counted: int) -> None:
    lane = each_lane
    lane.send(1)
    await lane.drain()
    named = batches.to_entry(batch(lane.producer, seq))
    raw = {key: value.decode("latin-1") if isinstance(value, bytes) else str(value) for key, value in named.items()}
    letter = {
        "shard": 0,
        "stream_ms": 1,
        "stream_seq": 0,
        "line": -1,
        "reason": "bad_batch",
        "detail": "unknown batch format 3",
        "raw": orjson.dumps(raw),
        "found_at": now_ms(),
    }
    async with sql.writing(lane.engine) as connection:
        await connection.execute(insert(tables.dead_letters).values(letter))
    assert outcomes(await replay(lane)) == [outcome]
    assert await lane.counted() == counted
    lane.send(2)
    lane.send(3)
    await lane.drain()
    assert outcomes(await replay(lane)) == (["duplicate"] if outcome == "waiting" else [])
    assert await lane.counted() == 3


async def test_what_the_store_refuses_stays_and_holds_up_nobody(
    each_lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = each_lane
    bad = {"sqlite": "\ud800", "postgresql": "\0"}[lane.engine.dialect.name]
    row = terms.click_row

    def unstorable(one: Any) -> dict[str, Any]:
        return row(one) | ({"site_domain": bad} if one["tracker_id"] == 13 else {})

    monkeypatch.setattr(counting, "click_row", unstorable)
    clicks: dict[int, Upgrade] = {0: lambda record: record}
    lane.send(1, *(event(v=0, kind="clk", tracker_id=tracker) for tracker in (7, 13, 7)))
    await lane.drain()
    assert outcomes(await replay(lane, upgrades=clicks)) == ["counted", "refused", "counted"]
    assert await lane.counted() == 2
    assert len(await lane.rows(tables.dead_letters)) == 1
