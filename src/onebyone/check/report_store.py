"""The report store: holes, dead letters, its clock, and whether the sums are those of the archived events."""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.check import servers
from onebyone.check.finding import Finding
from onebyone.clock import HOUR_MS, now_ms
from onebyone.contracts import batches
from onebyone.contracts.money import NANOS
from onebyone.counter.counting import BatchTotals
from onebyone.counter.pruning import DAY_MS
from onebyone.report_store.tables import archive, dead_letters, holes, hourly, producers

SUBJECT = "report store"
SUMS = "sums"

Sums = tuple[int, int, int]
"""Events, cost and revenue, the money in nanos."""


async def committed(connection: AsyncConnection) -> dict[str, int]:
    """Producer -> last counted batch."""
    rows = await connection.execute(select(producers.c.producer, producers.c.seq))
    return {row.producer: row.seq for row in rows}


async def look(connection: AsyncConnection) -> list[Finding]:
    """Losses, dead letters, producers that wait, and the clock."""
    found = await _clock(connection) if connection.dialect.name == "postgresql" else []
    lost = func.sum(holes.c.to_seq - holes.c.from_seq + 1)
    gone = (await connection.execute(select(lost))).scalar()
    if gone:
        newest = (await connection.execute(select(func.max(holes.c.found_at)))).scalar_one()
        remedy = "look into the table `holes` and the counter's log of that time; an edge's disk was lost or cleared"
        found.append(Finding(SUBJECT, f"{gone} batches were lost, the newest found at {_when(newest)}", remedy))
    letters = select(dead_letters.c.reason, func.count()).group_by(dead_letters.c.reason).order_by(func.count().desc())
    for reason, number in (await connection.execute(letters)).all():
        remedy = (
            f"`onebyone dead-letters list --reason {reason}`; after an upgrade or repair `onebyone dead-letters replay`"
        )
        found.append(Finding(SUBJECT, f"{number} dead letters with reason {reason}", remedy))
    late = select(producers.c.producer).where(producers.c.seen > producers.c.seq).order_by(producers.c.producer)
    waiting = (await connection.execute(late)).scalars().all()
    if waiting:
        remedy = (
            "start the edge whose data dir has their journals: it ships what is missing; where that disk is gone, "
            "`onebyone missing list`, then `onebyone missing give-up PRODUCER`: the loss is recorded, counting goes on"
        )
        names = ", ".join(waiting[:3])
        found.append(Finding(SUBJECT, f"{len(waiting)} producers wait for a batch that is missing: {names}", remedy))
    return found or [Finding(SUBJECT, "no losses, no dead letters, nothing waits for a missing batch")]


async def recount(connection: AsyncConnection, archive_days: int, hours: int) -> list[Finding]:
    """Counts the archived events again and compares with the sums; `hours` > 0: the newest hours only.

    In the transaction of `connection`, so that both are of one moment.
    """
    start = -(-(now_ms() - archive_days * DAY_MS) // HOUR_MS) + 1
    if hours:
        start = max(start, now_ms() // HOUR_MS - hours + 1)
    letters = await _letters(connection)
    found: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    # A batch spans moments; an hour more in front takes those that began before it.
    kept = select(archive).where(archive.c.first_ts >= (start - 1) * HOUR_MS)
    read = 0
    async for row in await connection.stream(kept.execution_options(yield_per=100)):
        totals = BatchTotals(row.shard)
        totals.count(_without(batches.unpack(row.payload), letters.get((row.producer, row.seq))), None)
        for (hour, key), sums in totals.hours.items():
            if hour >= start:
                _add(found[hour, *key], sums)
                read += sums[0]
    wrong = await _compare(connection, start, found)
    if not wrong:
        return [Finding(SUMS, f"{read} archived events counted again: equal to the report's sums, hour by hour")]
    remedy = (
        "keep the report store as it is, back it up and report this: sums and archive change in one transaction, so "
        "something else has written to it"
    )
    shown = "; ".join(
        f"{_when(hour * HOUR_MS)} member {member} {kind}: {there} in the report, {here} in the archive"
        for (hour, member, kind), (there, here) in sorted(wrong.items())[:3]
    )
    return [Finding(SUMS, f"{len(wrong)} sums are not those of the archived events: {shown}", remedy)]


async def _compare(
    connection: AsyncConnection, start: int, found: dict[tuple[Any, ...], list[int]]
) -> dict[tuple[int, int, str], tuple[int, int]]:
    """(hour, member, kind) -> events in the report and in the archive, where any sum of theirs differs."""
    names = [column.name for column in hourly.primary_key if column.name not in ("hour", "member_id", "kind")]
    different: dict[tuple[int, int, str], tuple[int, int]] = {}
    wanted = select(hourly).where(hourly.c.hour >= start * (HOUR_MS // 1000))
    async for row in await connection.stream(wanted.execution_options(yield_per=1000)):
        one = row._mapping
        hour = row.hour // (HOUR_MS // 1000)
        here = tuple(found.pop((hour, row.member_id, row.kind, *(one[name] for name in names)), (0, 0, 0)))
        cost = row.cost_units * NANOS + row.cost_nanos
        there = (row.events, cost, row.revenue_units * NANOS + row.revenue_nanos)
        if here != there:
            _differ(different, (hour, row.member_id, row.kind), there[0], here[0])
    for key, sums in found.items():
        _differ(different, (key[0], key[1], key[2]), 0, sums[0])
    return different


def _differ(
    different: dict[tuple[int, int, str], tuple[int, int]], key: tuple[int, int, str], there: int, here: int
) -> None:
    before = different.get(key, (0, 0))
    different[key] = (before[0] + there, before[1] + here)


async def _letters(connection: AsyncConnection) -> dict[tuple[str, int], set[int]]:
    """Lines of archived batches that are dead letters, and so in no sum."""
    lines: dict[tuple[str, int], set[int]] = defaultdict(set)
    query = select(dead_letters.c.producer, dead_letters.c.seq, dead_letters.c.line).where(
        dead_letters.c.line >= 0, dead_letters.c.producer.is_not(None)
    )
    async for row in await connection.stream(query):
        lines[row.producer, row.seq].add(row.line)
    return lines


def _without(lines: list[bytes], dead: set[int] | None) -> list[bytes]:
    return [line for index, line in enumerate(lines) if index not in dead] if dead else lines


def _add(sums: list[int], more: list[int]) -> None:
    for index, value in enumerate(more):
        sums[index] += value


async def _clock(connection: AsyncConnection) -> list[Finding]:
    before = time.time()
    there = (await connection.execute(text("SELECT extract(epoch FROM clock_timestamp())"))).scalar_one()
    return servers.skew(SUBJECT, before, float(there), time.time())


def _when(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
