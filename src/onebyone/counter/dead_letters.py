"""Dead letters: list them, and count those that this release can read.

A replay counts and deletes a letter in one transaction, with the code that counts the streams, so that a replay that is
interrupted, repeated or run twice concurrently counts nothing twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from onebyone.contracts import batches, events
from onebyone.contracts.events import Upgrade
from onebyone.counter.classification.remembered_classes import RememberedClasses
from onebyone.counter.counting import BatchTotals, write_totals
from onebyone.counter.statements import insert_new, is_refusal
from onebyone.report_store.tables import dead_letters, producers
from onebyone.runtime import sql

PAGE = 100
"""Letters of one read and of one transaction; bounds memory, because each may hold a whole batch."""

Letter = Row[Any]


class Outcome(StrEnum):
    """What a replay did with a letter. It deletes letters that are `COUNTED` or `DUPLICATE` and keeps the others."""

    COUNTED = "counted"
    DUPLICATE = "duplicate"
    """The batch has been counted since, under the name that was unreadable when it arrived."""
    UNREADABLE = "unreadable"
    WAITING = "waiting"
    """An earlier batch of its producer is not counted yet."""
    REFUSED = "refused"
    """The report store refuses its values."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """The outcome of one letter: how many events were counted, and how many records became letters of their own."""

    id: int
    outcome: Outcome
    events: int = 0
    letters: int = 0
    detail: str = ""


async def list_letters(engine: AsyncEngine, reason: str | None, limit: int | None) -> AsyncIterator[Letter]:
    """Yield letters in the order in which they were found, of one reason or of all."""
    after = 0
    while limit is None or limit > 0:
        async with sql.reading(engine) as connection:
            page = (await connection.execute(_page(reason, after, PAGE if limit is None else min(PAGE, limit)))).all()
        for letter in page:
            yield letter
        if not page:
            return
        after = page[-1].id
        limit = None if limit is None else limit - len(page)


async def replay_letters(
    engine: AsyncEngine,
    reason: str | None,
    limit: int | None,
    upgrades: Mapping[int, Upgrade] = events.UPGRADES,
    classes: RememberedClasses | None = None,
) -> AsyncIterator[Replayed]:
    """Try each letter once, in the order of `list_letters`; yield each outcome after it is committed."""
    after, newest = 0, await _newest_id(engine)
    while after < newest and (limit is None or limit > 0):
        size = PAGE if limit is None else min(PAGE, limit)
        try:
            done = await _replay_page(engine, reason, after, size, upgrades, classes)
        except Exception as error:
            if not is_refusal(error):
                raise
            # The store refuses one of them: try each alone, up to the end of this page.
            done = await _replay_alone(engine, reason, after, size, upgrades, classes)
        for replayed in done:
            yield replayed
        if not done:
            return
        after = done[-1].id
        limit = None if limit is None else limit - len(done)


async def _replay_alone(
    engine: AsyncEngine,
    reason: str | None,
    after: int,
    size: int,
    upgrades: Mapping[int, Upgrade],
    classes: RememberedClasses | None,
) -> list[Replayed]:
    async with sql.reading(engine) as connection:
        ids = [letter.id for letter in await connection.execute(_page(reason, after, size))]
    done: list[Replayed] = []
    for letter_id in ids:
        try:
            done += await _replay_page(engine, reason, letter_id - 1, 1, upgrades, classes)
        except Exception as error:
            if not is_refusal(error):
                raise
            done.append(Replayed(letter_id, Outcome.REFUSED, detail=f"{error!r:.500}"))
    return done


async def _replay_page(
    engine: AsyncEngine,
    reason: str | None,
    after: int,
    size: int,
    upgrades: Mapping[int, Upgrade],
    classes: RememberedClasses | None,
) -> list[Replayed]:
    totals = BatchTotals(0, upgrades, classes=classes)
    async with sql.writing(engine) as connection:
        letters = (await connection.execute(_page(reason, after, size).with_for_update())).all()
        done = [await _replay_letter(connection, totals, letter) for letter in letters]
        gone = [one.id for one in done if one.outcome in (Outcome.COUNTED, Outcome.DUPLICATE)]
        await write_totals(connection, totals)
        if gone:
            await connection.execute(delete(dead_letters).where(dead_letters.c.id.in_(gone)))
    return done


async def _replay_letter(connection: AsyncConnection, totals: BatchTotals, letter: Letter) -> Replayed:
    totals.shard = letter.shard
    totals.position = (letter.stream_ms, letter.stream_seq)
    before, letters = totals.events, len(totals.dead_letters)
    if letter.line >= 0:
        name = (letter.producer, letter.seq, 1) if letter.producer is not None else None
        # The archive already holds the batch of this line.
        totals.count([letter.raw], name)
        if len(totals.dead_letters) == letters:
            return Replayed(letter.id, Outcome.COUNTED, 1)
        return Replayed(letter.id, Outcome.UNREADABLE, detail=totals.dead_letters.pop()["detail"])
    try:
        batch, groups = batches.read_entry(_fields(letter.raw))
    except batches.BatchError as error:
        return Replayed(letter.id, Outcome.UNREADABLE, detail=str(error))
    if letter.producer is None:
        outcome = await _advance_producer(connection, batch, letter.shard, totals.now)
        if outcome is not Outcome.COUNTED:
            return Replayed(letter.id, outcome)
    totals.count_batch(batch, groups)
    return Replayed(letter.id, Outcome.COUNTED, totals.events - before, len(totals.dead_letters) - letters)


async def _advance_producer(connection: AsyncConnection, batch: batches.Batch, shard: int, now: int) -> Outcome:
    """Advance the producer of an entry whose name was unreadable when it arrived, as the counter would have."""
    new = {"producer": batch.producer, "shard": shard, "seq": 0, "seen": 0, "updated_at": now}
    await connection.execute(insert_new(connection.dialect.name, producers), new)
    mine = producers.c.producer == batch.producer
    row = (await connection.execute(select(producers).where(mine).with_for_update())).one()
    if batch.seq <= row.seq:
        return Outcome.DUPLICATE
    if batch.seq > row.seq + 1:
        return Outcome.WAITING
    change = {"seq": batch.seq, "seen": max(row.seen, batch.seq), "updated_at": now}
    await connection.execute(update(producers).where(mine).values(change))
    return Outcome.COUNTED


async def _newest_id(engine: AsyncEngine) -> int:
    """Return the id at which a replay ends, so that it never tries letters that it creates itself."""
    async with sql.reading(engine) as connection:
        return (await connection.execute(select(func.max(dead_letters.c.id)))).scalar() or 0


def _page(reason: str | None, after: int, size: int) -> Any:
    query = select(dead_letters).where(dead_letters.c.id > after).order_by(dead_letters.c.id).limit(size)
    return query if reason is None else query.where(dead_letters.c.reason == reason)


def _fields(raw: bytes) -> dict[bytes, bytes]:
    """Return the stream entry that `counting` kept. Raise `BatchError` when the row was altered."""
    try:
        kept = orjson.loads(raw)
        return {key.encode("latin-1"): value.encode("latin-1") for key, value in kept.items()}
    except (ValueError, AttributeError) as error:
        raise batches.BatchError(f"not a kept entry: {error!r}") from None
