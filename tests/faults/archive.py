"""Read what the report store holds, on SQLite or PostgreSQL: every archived event by its cachebuster."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator, Set
from typing import NamedTuple

import orjson
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from onebyone.contracts import batches
from onebyone.contracts.traffic_classes import COUNTED_REASONS
from onebyone.report_store.tables import archive, hourly, positions
from onebyone.runtime import sql
from tests.support.product import Product


class ArchivedEvent(NamedTuple):
    """The parts of an event that the ledger compares."""

    id: int
    kind: str
    tracker: int
    cost: int
    reason: str
    """Why it is kept uncounted; empty: it is counted."""


class Archive:
    """The archive in a product's report store, read from outside the product."""

    def __init__(self, product: Product) -> None:
        own = f"sqlite+aiosqlite:///{product.data_dir.resolve() / 'reports.sqlite3'}"
        self.url = product.environment.get("ONEBYONE_DATABASE_URL", own)
        self._events_at_last_read = -1

    def read(self) -> dict[str, list[ArchivedEvent]]:
        """Return all events by cachebuster. Records that an experiment added to a stream have none and are left out."""
        events: dict[str, list[ArchivedEvent]] = {}
        for line in self.lines():
            with contextlib.suppress(orjson.JSONDecodeError):
                event = orjson.loads(line)
                if "cb" in event:
                    archived = ArchivedEvent(
                        event["id"],
                        event["kind"],
                        event["tracker_id"],
                        event.get("ancost", -1),
                        event.get("reason", ""),
                    )
                    events.setdefault(event["cb"], []).append(archived)
        return events

    def lines(self, most: int | None = None) -> Iterator[bytes]:
        """Yield the event lines of the first `most` batches, or of all, as the edge wrote them."""
        for payload in asyncio.run(self._payloads(most)):
            yield from batches.unpack(payload)

    def events(self) -> int:
        """Return the number of events; -1 while the store does not answer."""
        try:
            return asyncio.run(self._count())
        except (SQLAlchemyError, OSError):
            return -1

    def holds(self, names: Set[str]) -> bool:
        """Return whether every name is archived; read the archive only after it has grown to that many events."""
        events = self.events()
        if events < len(names) or events == self._events_at_last_read:
            return False
        self._events_at_last_read = events
        return names <= self.read().keys()

    def kept(self) -> Counter[tuple[str, str]]:
        """Return the number of requests that are kept uncounted, by kind and reason; also those without a name."""
        kept = Counter[tuple[str, str]]()
        for line in self.lines():
            if b'"reason"' in line:
                event = orjson.loads(line)
                kept[event["kind"], event["reason"]] += event.get("requests", 1)
        return kept

    def kept_sums(self) -> Counter[tuple[str, str]]:
        """Return the same as `kept`, from the sums of the hours."""
        return asyncio.run(self._kept_sums())

    def committed(self) -> list[tuple[int, int]]:
        """Return the committed stream position of each shard."""
        return asyncio.run(self._positions())

    async def _payloads(self, most: int | None) -> list[bytes]:
        engine = sql.create_engine(self.url)
        try:
            async with sql.reading(engine) as connection:
                return list((await connection.execute(select(archive.c.payload).limit(most))).scalars())
        finally:
            await engine.dispose()

    async def _count(self) -> int:
        engine = sql.create_engine(self.url)
        try:
            async with sql.reading(engine) as connection:
                return int(
                    (await connection.execute(select(func.coalesce(func.sum(archive.c.events), 0)))).scalar_one()
                )
        finally:
            await engine.dispose()

    async def _kept_sums(self) -> Counter[tuple[str, str]]:
        query = (
            select(hourly.c.kind, hourly.c.reason, func.sum(hourly.c.events).label("events"))
            .where(hourly.c.reason.not_in(COUNTED_REASONS))
            .group_by(hourly.c.kind, hourly.c.reason)
        )
        engine = sql.create_engine(self.url)
        try:
            async with sql.reading(engine) as connection:
                return Counter({(row.kind, row.reason): int(row.events) for row in await connection.execute(query)})
        finally:
            await engine.dispose()

    async def _positions(self) -> list[tuple[int, int]]:
        engine = sql.create_engine(self.url)
        try:
            async with sql.reading(engine) as connection:
                rows = await connection.execute(
                    select(positions.c.stream_ms, positions.c.stream_seq).order_by(positions.c.shard)
                )
                return [(row.stream_ms, row.stream_seq) for row in rows]
        finally:
            await engine.dispose()
