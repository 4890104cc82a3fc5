"""A counter under test in this process, with its stream and its report store."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

import redis
from sqlalchemy import Table, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.clock import now_ms
from onebyone.contracts import batches, events, keys
from onebyone.counter import process
from onebyone.report_store import schema, tables
from onebyone.runtime import sql
from onebyone.settings import Settings
from tests.support.payloads import payload
from tests.support.valkey import ValkeyProcess

_numbers = itertools.count(1)


def event(**changes: Any) -> dict[str, Any]:
    """Return a valid impression; `changes` replaces fields, None removes one."""
    made = {
        "v": events.VERSION,
        "id": next(_numbers),
        "ts": now_ms(),
        "kind": "imp",
        "tracker_id": 7,
        "member_id": 1,
        "advertiser_id": 2,
        "line_item_id": 3,
        "insertion_order_id": 0,
        "publisher_id": 4,
        "site_id": 5,
        "tag_id": 6,
        "payment_rule_id": 8,
    }
    made.update(changes)
    return {name: value for name, value in made.items() if value is not None}


def batch(producer: str, seq: int, *records: dict[str, Any] | bytes, kept_from: int = 1) -> batches.Batch:
    """Return a batch of records; bytes are an event's line verbatim."""
    records = records or (event(),)
    return batches.Batch(producer, seq, len(records), payload(records), kept_from)


class Harness:
    """One shard's stream and the report store that its events reach."""

    def __init__(self, client: redis.Redis, engine: AsyncEngine, settings: Settings) -> None:
        self.client = client
        self.engine = engine
        self.settings = settings
        self.producer = batches.new_producer()

    def ship(self, *sent: batches.Batch) -> None:
        """Append batches to the stream, as an edge does."""
        for one in sent:
            self.client.xadd(keys.events_key(0), batches.to_entry(one))  # type: ignore[arg-type]

    def send(self, seq: int, *records: dict[str, Any] | bytes, kept_from: int = 1) -> None:
        """Append one batch of its own producer."""
        self.ship(batch(self.producer, seq, *records, kept_from=kept_from))

    def progress(self, producer: str = "") -> int:
        """Return the progress that the counter has published."""
        return int(self.client.hget(keys.progress_key(0), producer or self.producer) or 0)

    def token(self) -> bytes | None:
        """Return the token of the counter's last resend request."""
        token = self.client.hget(keys.resend_key(0), self.producer)
        assert token is None or isinstance(token, bytes)
        return token

    async def rows(self, table: Table) -> list[Any]:
        """Return all rows of a table."""
        async with sql.reading(self.engine) as connection:
            return list((await connection.execute(select(table))).all())

    async def counted(self) -> int:
        """Return the number of events in the rollup."""
        async with sql.reading(self.engine) as connection:
            total = (await connection.execute(select(func.sum(tables.hourly.c.events)))).scalar()
        return int(total or 0)

    @contextlib.asynccontextmanager
    async def counter(self) -> AsyncIterator[asyncio.Event]:
        """Run a counter; setting the event or leaving the block stops it."""
        stopping = asyncio.Event()
        ready = asyncio.Event()
        running = asyncio.create_task(process.run_counter(self.settings, stopping, ready.set))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        try:
            yield stopping
        finally:
            waiting.cancel()
            stopping.set()
            await running

    async def drain(self) -> None:
        """Start a counter, let it count everything and stop it."""
        async with self.counter():
            pass


class RunningHarness:
    """A context that yields a harness on a stream server and a report store, which it migrates."""

    def __init__(self, valkey: ValkeyProcess, url: str) -> None:
        self._settings = Settings(report_database_url=url, stream_url=valkey.url, shards=1)
        self._client = valkey.client()

    async def __aenter__(self) -> Harness:
        await schema.upgrade(self._settings.report_store_url)
        self._engine = sql.create_engine(self._settings.report_store_url)
        return Harness(self._client, self._engine, self._settings)

    async def __aexit__(self, *_: object) -> None:
        await self._engine.dispose()
        self._client.close()
