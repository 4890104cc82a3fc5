"""Dead letters are listed safely, and counted once when they can be read."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from sqlalchemy import insert, update

from onebyone.clock import now_ms
from onebyone.contracts import batches, events, keys
from onebyone.contracts.events import Upgrade
from onebyone.counter import counting, dead_letters, terms
from onebyone.counter.dead_letters import Outcome, Replayed
from onebyone.report_store import tables
from onebyone.runtime import sql
from tests.counter.harness import Harness, batch, event

pytestmark = pytest.mark.anyio


READABLE: dict[int, Upgrade] = {**events.UPGRADES, 0: lambda record: record | {"kind": "imp"}}
"""A release that can read version 0."""


async def replay(harness: Harness, reason: str | None = None, limit: int | None = None, **more: Any) -> list[Replayed]:
    return [done async for done in dead_letters.replay_letters(harness.engine, reason, limit, **more)]


def outcomes(done: list[Replayed]) -> list[str]:
    return [one.outcome.value for one in done]


async def test_records_are_counted_once_they_can_be_read(each_harness: Harness) -> None:
    harness = each_harness
    harness.send(1, event(), event(v=0, kind="view"), event(v=0, kind="view"), b"not JSON")
    await harness.drain()
    assert await harness.counted() == 1
    assert outcomes(await replay(harness)) == ["unreadable"] * 3
    assert await harness.counted() == 1
    assert outcomes(await replay(harness, upgrades=READABLE)) == ["counted", "counted", "unreadable"]
    assert await harness.counted() == 3
    assert outcomes(await replay(harness, upgrades=READABLE)) == ["unreadable"]
    assert await harness.counted() == 3
    assert len(await harness.rows(tables.archive)) == 1


async def test_events_go_to_the_hour_of_their_receipt(harness: Harness) -> None:
    long_ago = 1_600_000_000_000
    harness.send(1, event(v=0, ts=long_ago))
    await harness.drain()
    await replay(harness, upgrades=READABLE)
    (row,) = await harness.rows(tables.hourly)
    assert row.hour == long_ago // 3_600_000 * 3600


@pytest.mark.parametrize(
    ("reason", "limit", "expected"),
    [("unknown_version", None, 2), ("bad_json", None, 1), (None, 1, 1), (None, None, 3), ("none such", None, 0)],
)
async def test_reason_and_limit(harness: Harness, reason: str | None, limit: int | None, expected: int) -> None:
    harness.send(1, event(v=0), b"not JSON", event(v=0))
    await harness.drain()
    assert len(await replay(harness, reason, limit)) == expected
    assert len([letter async for letter in dead_letters.list_letters(harness.engine, reason, limit)]) == expected


async def test_more_letters_than_one_transaction_takes(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "PAGE", 3)
    harness.send(1, *(event(v=0) for _ in range(8)))
    await harness.drain()
    assert len(await replay(harness, limit=7, upgrades=READABLE)) == 7
    assert await harness.counted() == 7
    assert len(await replay(harness, upgrades=READABLE)) == 1
    assert await harness.counted() == 8


async def test_two_concurrent_replays_count_once(each_harness: Harness) -> None:
    harness = each_harness
    harness.send(1, *(event(v=0) for _ in range(50)))
    await harness.drain()
    await asyncio.gather(*(replay(harness, upgrades=READABLE) for _ in range(3)))
    assert await harness.counted() == 50
    assert await harness.rows(tables.dead_letters) == []


async def test_a_replay_beside_a_running_counter(each_harness: Harness) -> None:
    harness = each_harness
    harness.send(1, *(event(v=0) for _ in range(20)))
    await harness.drain()
    async with harness.counter():
        for seq in range(2, 12):
            harness.send(seq)
        await replay(harness, upgrades=READABLE)
    assert await harness.counted() == 30


async def test_a_batch_that_could_not_be_unpacked(each_harness: Harness) -> None:
    harness = each_harness
    good = batch(harness.producer, 1, event(), event(), b"not JSON")
    harness.client.xadd(keys.events_key(0), batches.to_entry(good) | {"z": b"broken"})  # type: ignore[arg-type]
    harness.send(2)
    await harness.drain()
    assert await harness.counted() == 1
    # Somebody repairs it by hand.
    fields = {key: value if isinstance(value, str) else str(value) for key, value in batches.to_entry(good).items()}
    fields["z"] = good.payload.decode("latin-1")
    async with sql.writing(harness.engine) as connection:
        await connection.execute(update(tables.dead_letters).values(raw=orjson.dumps(fields)))
    (done,) = await replay(harness)
    assert (done.outcome, done.events, done.letters) == (Outcome.COUNTED, 2, 1)
    assert await harness.counted() == 3
    assert [(letter.line, letter.reason) for letter in await harness.rows(tables.dead_letters)] == [(2, "bad_json")]
    assert {row.seq for row in await harness.rows(tables.archive)} == {1, 2}


@pytest.mark.parametrize(
    ("seq", "outcome", "counted"),
    [(1, "duplicate", 1), (2, "counted", 2), (3, "waiting", 1)],
    ids=["counted meanwhile under its name", "next of its producer", "an earlier one is missing"],
)
async def test_an_entry_whose_name_could_not_be_read(
    each_harness: Harness, seq: int, outcome: str, counted: int
) -> None:
    harness = each_harness
    harness.send(1)
    await harness.drain()
    named = batches.to_entry(batch(harness.producer, seq))
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
    async with sql.writing(harness.engine) as connection:
        await connection.execute(insert(tables.dead_letters).values(letter))
    assert outcomes(await replay(harness)) == [outcome]
    assert await harness.counted() == counted
    harness.send(2)
    harness.send(3)
    await harness.drain()
    assert outcomes(await replay(harness)) == (["duplicate"] if outcome == "waiting" else [])
    assert await harness.counted() == 3


async def test_a_letter_that_the_store_refuses_stays_and_blocks_no_other(
    each_harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = each_harness
    bad = {"sqlite": "\ud800", "postgresql": "\0"}[harness.engine.dialect.name]
    row = terms.click_row

    def unstorable(one: Any) -> dict[str, Any]:
        return row(one) | ({"site_domain": bad} if one["tracker_id"] == 13 else {})

    monkeypatch.setattr(counting, "click_row", unstorable)
    clicks: dict[int, Upgrade] = {**events.UPGRADES, 0: lambda record: record}
    harness.send(1, *(event(v=0, kind="clk", tracker_id=tracker) for tracker in (7, 13, 7)))
    await harness.drain()
    assert outcomes(await replay(harness, upgrades=clicks)) == ["counted", "refused", "counted"]
    assert await harness.counted() == 2
    assert len(await harness.rows(tables.dead_letters)) == 1
