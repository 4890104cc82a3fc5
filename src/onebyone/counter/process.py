"""The counter's process: migrate the schema, run one task per shard and the pruner, drain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.counter import pruning
from onebyone.counter.outages import Cause, Outages
from onebyone.counter.shard import Shard
from onebyone.counter.stream import Misconfigured, refuse_eviction
from onebyone.report_store import schema
from onebyone.report_store.tables import positions
from onebyone.runtime import redis_client, sql
from onebyone.settings import Settings

_log = structlog.get_logger()

T = TypeVar("T")

_NO_SHARD = -1
"""Stands for the start of the process, before it counts any shard."""


async def run_counter(settings: Settings, stopping: asyncio.Event, ready: Callable[[], None]) -> None:
    """Count until `stopping`, then drain. Call `ready` after the first read of every shard.

    Raise `Misconfigured` when these settings can never work.
    """
    if not settings.stream_url:
        raise Misconfigured("ONEBYONE_STREAM_URL is not set: the counter needs the stream server's URL")
    try:
        engine = sql.create_engine(settings.report_store_url)
        client = redis_client.connect(settings.stream_url, connections=settings.shards + redis_client.CONNECTIONS)
    except (ArgumentError, ImportError, ValueError) as error:
        raise Misconfigured(f"a store's URL is wrong: {error}") from None
    outages = Outages()
    try:
        await _until_it_succeeds(outages, "sql", lambda: schema.upgrade(settings.report_store_url), stopping)
        await _until_it_succeeds(outages, "stream", lambda: refuse_eviction(client), stopping)
        shards = await _until_it_succeeds(outages, "sql", lambda: _shards(engine, settings.shards), stopping)
        if shards is not None:
            # SQLite has one writer: shards queue here instead of polling for its lock.
            writers = asyncio.Semaphore(1 if engine.dialect.name == "sqlite" else shards)
            each = [Shard(shard, client, engine, outages, writers, stopping) for shard in range(shards)]
            await _count(each, pruning.prune_forever(engine, settings.archive_days, writers), ready)
    finally:
        await client.aclose()
        await engine.dispose()


async def _count(shards: list[Shard], pruner: Coroutine[None, None, None], ready: Callable[[], None]) -> None:
    async def announce() -> None:
        for shard in shards:
            await shard.answered.wait()
        # Before the supervisor knows: its summary is to be the last thing that a start prints.
        _log.info("counting", shards=len(shards))
        ready()

    async with asyncio.TaskGroup() as background:
        helpers = [background.create_task(announce()), background.create_task(pruner)]
        async with asyncio.TaskGroup() as counting:
            for shard in shards:
                counting.create_task(shard.run())
        for helper in helpers:
            helper.cancel()


async def _shards(engine: AsyncEngine, configured: int) -> int:
    """Return the number of shards to count, including those from before the setting was lowered."""
    async with sql.reading(engine) as connection:
        highest = (await connection.execute(select(func.max(positions.c.shard)))).scalar()
    return max(configured, 1 + (highest if highest is not None else -1))


async def _until_it_succeeds(
    outages: Outages, cause: Cause, attempt: Callable[[], Awaitable[T]], stopping: asyncio.Event
) -> T | None:
    """Retry `attempt` and return its first result; return None when the process must stop before."""
    while not stopping.is_set():
        try:
            result = await attempt()
        except (*redis_client.Unavailable, SQLAlchemyError) as error:
            await asyncio.sleep(outages.failed(cause, _NO_SHARD, error))
        else:
            outages.succeeded(_NO_SHARD)
            return result
    return None
