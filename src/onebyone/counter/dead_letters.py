"""Dead letters: read them, and count again those that this release can read.

A letter is counted and removed in one transaction, by the same tally that counts the streams, so that a replay that is
interrupted, repeated or run twice at once counts nothing twice.
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
from onebyone.counter.counting import Tally, store
from onebyone.counter.statements import insert_new, refuses
from onebyone.report_store.tables import dead_letters, producers
from onebyone.runtime import sql

PAGE = 100
"""Letters of one read, and of one transaction."""

Letter = Row[Any]


class Outcome(StrEnum):
    """What a replay did with a letter. `COUNTED` and `DUPLICATE` are gone from the table, the others stay."""

    COUNTED = "counted"
    DUPLICATE = "duplicate"
    """The batch was counted meanwhile under a name that could not be read then."""
    UNREADABLE = "unreadable"
    WAITING = "waiting"
    """An earlier batch of its producer is not counted yet."""
    REFUSED = "refused"
    """The report store does not take what it holds."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One letter's end. `events` were counted; `letters` are new ones: records of a batch that still cannot be read."""

    id: int
    outcome: Outcome
    events: int = 0
    letters: int = 0
    detail: str = ""


async def read(engine: AsyncEngine, reason: str | None, limit: int | None) -> AsyncIterator[Letter]:
    """Letters in the order in which they were found, of one reason or of all."""
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


async def replay(
    engine: AsyncEngine, reason: str | None, limit: int | None, upgrades: Mapping[int, Upgrade] = events.UPGRADES
) -> AsyncIterator[Replayed]:
    """Tries letters as `read` gives them, each once; what became of each, once that is committed."""
    after, newest = 0, await _newest(engine)
    while after < newest and (limit is None or limit > 0):
        size = PAGE if limit is None else min(PAGE, limit)
        try:
            done = await _replay_page(engine, reason, after, size, upgrades)
        except Exception as error:
            if not refuses(error):
                raise
            # Something among them is refused: each alone, up to the end of this page.
            done = await _replay_alone(engine, reason, after, size, upgrades)
        for replayed in done:
            yield replayed
        if not done:
            return
        after = done[-1].id
        limit = None if limit is None else limit - len(done)


async def _replay_alone(
    engine: AsyncEngine, reason: str | None, after: int, size: int, upgrades: Mapping[int, Upgrade]
) -> list[Replayed]:
    async with sql.reading(engine) as connection:
        ids = [letter.id for letter in await connection.execute(_page(reason, after, size))]
    done: list[Replayed] = []
    for letter_id in ids:
        try:
            done += await _replay_page(engine, reason, letter_id - 1, 1, upgrades)
        except Exception as error:
            if not refuses(error):
                raise
            done.append(Replayed(letter_id, Outcome.REFUSED, detail=f"{error!r:.500}"))
    return done


async def _replay_page(
    engine: AsyncEngine, reason: str | None, after: int, size: int, upgrades: Mapping[int, Upgrade]
) -> list[Replayed]:
    tally = Tally(0, upgrades)
    async with sql.writing(engine) as connection:
        letters = (await connection.execute(_page(reason, after, size).with_for_update())).all()
        done = [await _try(connection, tally, letter) for letter in letters]
        gone = [one.id for one in done if one.outcome in (Outcome.COUNTED, Outcome.DUPLICATE)]
        await store(connection, tally)
        if gone:
            await connection.execute(delete(dead_letters).where(dead_letters.c.id.in_(gone)))
    return done


async def _try(connection: AsyncConnection, tally: Tally, letter: Letter) -> Replayed:
    tally.shard = letter.shard
    tally.position = (letter.stream_ms, letter.stream_seq)
    before, letters = tally.events, len(tally.dead_letters)
    if letter.line >= 0:
        name = (letter.producer, letter.seq, 1) if letter.producer is not None else None
        # Its batch is in the archive already, with this line in it.
        tally.count([letter.raw], name)
        if len(tally.dead_letters) == letters:
            return Replayed(letter.id, Outcome.COUNTED, 1)
        return Replayed(letter.id, Outcome.UNREADABLE, detail=tally.dead_letters.pop()["detail"])
    try:
        batch, lines = batches.read_entry(_fields(letter.raw))
    except batches.BatchError as error:
        return Replayed(letter.id, Outcome.UNREADABLE, detail=str(error))
    if letter.producer is None:
        outcome = await _take_turn(connection, batch, letter.shard, tally.now)
        if outcome is not Outcome.COUNTED:
            return Replayed(letter.id, outcome)
    tally.count_batch(batch, lines)
    return Replayed(letter.id, Outcome.COUNTED, tally.events - before, len(tally.dead_letters) - letters)


async def _take_turn(connection: AsyncConnection, batch: batches.Batch, shard: int, now: int) -> Outcome:
    """Moves the producer of an entry whose name could not be read when it came, as the counter would have."""
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


async def _newest(engine: AsyncEngine) -> int:
    """A replay ends there, and so never tries the letters that it makes itself."""
    async with sql.reading(engine) as connection:
        return (await connection.execute(select(func.max(dead_letters.c.id)))).scalar() or 0


def _page(reason: str | None, after: int, size: int) -> Any:
    query = select(dead_letters).where(dead_letters.c.id > after).order_by(dead_letters.c.id).limit(size)
    return query if reason is None else query.where(dead_letters.c.reason == reason)


def _fields(raw: bytes) -> dict[bytes, bytes]:
    """The stream entry that `counting` kept. Raises `BatchError` when somebody has changed it."""
    try:
        told = orjson.loads(raw)
        return {key.encode("latin-1"): value.encode("latin-1") for key, value in told.items()}
    except (ValueError, AttributeError) as error:
        raise batches.BatchError(f"not a kept entry: {error!r}") from None
