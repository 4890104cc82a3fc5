"""The report store: holes, dead letters, its clock, and whether its sums equal those of the archived events."""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.check import clocks, servers
from onebyone.check.finding import Finding
from onebyone.clock import DAY_MS, HOUR_MS, now_ms
from onebyone.contracts import batches
from onebyone.contracts.events import NET
from onebyone.contracts.money import NANOS
from onebyone.contracts.traffic_classes import COUNTED_REASONS
from onebyone.counter.counting import BatchTotals
from onebyone.report_store.tables import archive, dead_letters, holes, hourly, producers

SUBJECT = "report store"
SUMS = "sums"

Sums = tuple[int, int, int]
"""Events, cost and revenue, the money in nanos."""


async def committed_batches(connection: AsyncConnection) -> dict[str, int]:
    """Return producer -> seq of its last counted batch."""
    rows = await connection.execute(select(producers.c.producer, producers.c.seq))
    return {row.producer: row.seq for row in rows}


async def check_losses(connection: AsyncConnection, skew_limit: float) -> list[Finding]:
    """Return losses, dead letters, producers with a missing batch, and a clock that is off by `skew_limit` seconds."""
    findings = await _check_clock(connection, skew_limit) if connection.dialect.name == "postgresql" else []
    findings += await clocks.check_event_times(connection, skew_limit)
    total = func.sum(holes.c.to_seq - holes.c.from_seq + 1)
    lost = (await connection.execute(select(total))).scalar()
    if lost:
        newest = (await connection.execute(select(func.max(holes.c.found_at)))).scalar_one()
        remedy = "look at the table `holes` and at the counter's log of that time; an edge's disk was lost or cleared"
        findings.append(Finding(SUBJECT, f"{lost} batches were lost, the newest found at {_time_text(newest)}", remedy))
    letters = select(dead_letters.c.reason, func.count()).group_by(dead_letters.c.reason).order_by(func.count().desc())
    for reason, count in (await connection.execute(letters)).all():
        remedy = (
            f"`onebyone dead-letters list --reason {reason}`; after an upgrade or repair `onebyone dead-letters replay`"
        )
        findings.append(Finding(SUBJECT, f"{count} dead letters with reason {reason}", remedy))
    late = select(producers.c.producer).where(producers.c.seen > producers.c.seq).order_by(producers.c.producer)
    waiting = (await connection.execute(late)).scalars().all()
    if waiting:
        remedy = (
            "start the edge whose data folder has their journals: it sends what is missing; where that disk is gone, "
            "`onebyone missing list`, then `onebyone missing give-up PRODUCER` records the loss, and counting continues"
        )
        names = ", ".join(waiting[:3])
        findings.append(Finding(SUBJECT, f"{len(waiting)} producers wait for a batch that is missing: {names}", remedy))
    return findings or [Finding(SUBJECT, "no losses, no dead letters, no missing batch")]


async def check_sums(connection: AsyncConnection, days: int, hours: int) -> list[Finding]:
    """Count the archived events of the last `days` again and compare with the sums; `hours` > 0: the newest hours only.

    Both are read in the transaction of `connection`, so that they are of the same moment. Hours that have not come yet
    are left out, because their batches may have been pruned before.
    """
    end = (now_ms() + DAY_MS) // HOUR_MS
    start = -(-(now_ms() - days * DAY_MS) // HOUR_MS) + 1
    if hours:
        start = max(start, now_ms() // HOUR_MS - hours + 1)
    dead = await _dead_lines(connection)
    recounted: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    # A batch has one `first_ts` but spans several moments: those of the hour before may reach into the first hour.
    kept = select(archive).where(archive.c.first_ts >= (start - 1) * HOUR_MS)
    read = 0
    async for row in await connection.stream(kept.execution_options(yield_per=100)):
        totals = BatchTotals(row.shard)
        totals.count(_without(batches.unpack(row.payload), dead.get((row.producer, row.seq))), None)
        for (hour, key, reason), sums in totals.hours.items():
            if start <= hour < end:
                _add_sums(recounted[hour, *key, reason], sums)
                read += sums[0]
    wrong = await _compare_sums(connection, range(start, end), recounted)
    if not wrong:
        return [Finding(SUMS, f"{read} archived events counted again: equal to the report's sums, hour by hour")]
    remedy = (
        "keep the report store as it is, back it up and report this: sums and archive change in one transaction, "
        "so something else has written to it"
    )
    shown = "; ".join(
        f"{_time_text(hour * HOUR_MS)} member {member} {kind}: {there} in the report, {here} in the archive"
        for (hour, member, kind), (there, here) in sorted(wrong.items())[:3]
    )
    return [Finding(SUMS, f"{len(wrong)} sums are not those of the archived events: {shown}", remedy)]


async def _compare_sums(
    connection: AsyncConnection, hours: range, recounted: dict[tuple[Any, ...], list[int]]
) -> dict[tuple[int, int, str], tuple[int, int]]:
    """Return (hour, member, kind) -> events in the report and in the archive, where any of their sums differs.

    Classes depend on the lists of their time, so the archive has been recounted without them: classified sums are
    compared together with the net ones, of which they are part.
    """
    names = [column.name for column in hourly.primary_key if column.name not in ("hour", "member_id", "kind", "reason")]
    stored: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    seconds = HOUR_MS // 1000
    wanted = select(hourly).where(hourly.c.hour >= hours.start * seconds, hourly.c.hour < hours.stop * seconds)
    async for row in await connection.stream(wanted.execution_options(yield_per=1000)):
        columns = row._mapping
        hour = row.hour // seconds
        reason = NET if row.reason in COUNTED_REASONS else row.reason
        key = (hour, row.member_id, row.kind, *(columns[name] for name in names), reason)
        cost = row.cost_units * NANOS + row.cost_nanos
        sums = [row.events, cost, row.revenue_units * NANOS + row.revenue_nanos]
        if recounted.get(key) == sums:
            del recounted[key]
        else:
            _add_sums(stored[key], sums)
    different: dict[tuple[int, int, str], tuple[int, int]] = {}
    for key in stored.keys() | recounted.keys():
        there, here = stored.get(key, [0, 0, 0]), recounted.get(key, [0, 0, 0])
        if there != here:
            before = different.get(key[:3], (0, 0))
            different[key[:3]] = (before[0] + there[0], before[1] + here[0])
    return different


async def _dead_lines(connection: AsyncConnection) -> dict[tuple[str, int], set[int]]:
    """Return (producer, seq) -> lines of archived batches that are dead letters, and so in no sum."""
    lines: dict[tuple[str, int], set[int]] = defaultdict(set)
    query = select(dead_letters.c.producer, dead_letters.c.seq, dead_letters.c.line).where(
        dead_letters.c.line >= 0, dead_letters.c.producer.is_not(None)
    )
    async for row in await connection.stream(query):
        lines[row.producer, row.seq].add(row.line)
    return lines


def _without(lines: list[bytes], dead: set[int] | None) -> list[bytes]:
    return [line for index, line in enumerate(lines) if index not in dead] if dead else lines


def _add_sums(sums: list[int], more: list[int]) -> None:
    for index, value in enumerate(more):
        sums[index] += value


async def _check_clock(connection: AsyncConnection, skew_limit: float) -> list[Finding]:
    before = time.time()
    there = (await connection.execute(text("SELECT extract(epoch FROM clock_timestamp())"))).scalar_one()
    return servers.check_skew(SUBJECT, before, float(there), time.time(), skew_limit)


def _time_text(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
