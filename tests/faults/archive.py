"""What the report store holds: every archived event by its cachebuster, from SQLite or PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Set
from typing import NamedTuple

import orjson
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from onebyone.contracts import batches
from onebyone.report_store.tables import archive, positions
from onebyone.runtime import sql
from tests.support.product import Product


class Found(NamedTuple):
    """What the ledger compares of an event."""

    id: int
    kind: str
    tracker: int
    cost: int


class Archive:
    """The archive of a product's report store, read from outside."""

    def __init__(self, product: Product) -> None:
        own = f"sqlite+aiosqlite:///{product.data_dir.resolve() / 'reports.sqlite3'}"
        self.url = product.environment.get("ONEBYONE_DATABASE_URL", own)
        self._looked_at = -1

    def read(self) -> dict[str, list[Found]]:
        """All events. What an experiment has slipped into a stream has no cachebuster and is left out."""
        found: dict[str, list[Found]] = {}
        for line in self.lines():
            with contextlib.suppress(orjson.JSONDecodeError):
                event = orjson.loads(line)
                if "cb" in event:
                    what = Found(event["id"], event["kind"], event["tracker_id"], event.get("ancost", -1))
                    found.setdefault(event["cb"], []).append(what)
        return found

    def lines(self, most: int | None = None) -> Iterator[bytes]:
        """The events of all batches, or of so many, as they were minted."""
        for payload in asyncio.run(self._payloads(most)):
            yield from batches.unpack(payload)

    def events(self) -> int:
        """How many there are; -1 while the store does not answer."""
        try:
            return asyncio.run(self._count())
        except (SQLAlchemyError, OSError):
            return -1

    def holds(self, names: Set[str]) -> bool:
        """Whether all of them are there; reads the archive only when it has grown to that many."""
        events = self.events()
        if events < len(names) or events == self._looked_at:
            return False
        self._looked_at = events
        return names <= self.read().keys()

    def committed(self) -> list[tuple[int, int]]:
        """The position of each shard."""
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
