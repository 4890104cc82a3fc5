"""The counter's process: migrate the schema, run one task per shard and the pruner, drain."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import TypeVar

import redis.asyncio
import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.counter import metrics, ops_endpoints, pruning
from onebyone.counter.classification.list_folder import ListFolder
from onebyone.counter.classification.list_watch import ListWatch
from onebyone.counter.counter_marks import CounterMark
from onebyone.counter.health import HealthMeter
from onebyone.counter.outages import Cause, Outages
from onebyone.counter.producer_clocks import ProducerClocks
from onebyone.counter.proxy_retries import ProxyRetries
from onebyone.counter.retention import Retention
from onebyone.counter.shard import Shard
from onebyone.counter.shard_leases import ShardLeases
from onebyone.counter.stream import Misconfigured, Stream, refuse_eviction
from onebyone.report_store import schema
from onebyone.report_store.tables import positions
from onebyone.runtime import redis_client, sql, store_refusals
from onebyone.runtime.clock_watch import ClockWatch
from onebyone.runtime.migration import NewerSchema
from onebyone.settings import Settings

_log = structlog.get_logger()

T = TypeVar("T")

IDLE_TRANSACTION_SECONDS = 4
"""Less than it takes until another counter takes over (`SILENT_SECONDS`), which must not wait for locks of this one."""
_NO_SHARD = -1
"""Stands for the process: its start, before it counts any shard, and its leases."""


async def run_counter(
    settings: Settings, stopping: asyncio.Event, ready: Callable[[], None], listener: socket.socket | None = None
) -> None:
    """Count until `stopping`, then drain. Call `ready` after the first read of every shard that it owns at the start.
    Answer operators on `listener`, if there is one.

    Raise `Misconfigured` when these settings can never work.
    """
    if not settings.stream_url:
        raise Misconfigured("ONEBYONE_STREAM_URL is not set: the counter needs the stream server's URL")
    try:
        engine = sql.create_engine(settings.report_store_url, idle_transaction_seconds=IDLE_TRANSACTION_SECONDS)
        client = redis_client.connect(settings.stream_url, connections=settings.shards + redis_client.CONNECTIONS)
    except (ArgumentError, ImportError, ValueError) as error:
        raise Misconfigured(f"a store's URL is wrong: {error}") from None
    outages = Outages()
    meter = HealthMeter(settings.uncounted_seconds, outages, stopping)
    clock = ClockWatch("counter", settings.stream_url, settings.clock_skew_seconds, _set_clock_skew)
    clock.start()
    try:
        async with ops_endpoints.serving(ops_endpoints.create_ops_app(settings, meter.measure), listener):
            await _prepare_and_count(settings, engine, client, meter, ready)
    finally:
        await asyncio.to_thread(clock.stop)
        await client.aclose()
        await engine.dispose()


def _set_clock_skew(skew: float | None, _: int) -> None:
    metrics.CLOCK_SKEW.set(abs(skew or 0.0))


async def _prepare_and_count(
    settings: Settings, engine: AsyncEngine, client: redis.asyncio.Redis, meter: HealthMeter, ready: Callable[[], None]
) -> None:
    outages, stopping = meter.outages, meter.stopping
    starting = partial(_until_it_succeeds, settings, outages, stopping)
    await starting("sql", lambda: schema.upgrade(settings.report_store_url))
    await starting("stream", lambda: refuse_eviction(client))
    number = await starting("sql", lambda: _shards(engine, settings.shards))
    if number is None:
        return
    # SQLite has one writer: shards queue here instead of polling for its lock.
    writers = asyncio.Semaphore(1 if engine.dialect.name == "sqlite" else number)
    leases = ShardLeases(engine, writers, number)
    clocks, retries = ProducerClocks(settings.clock_skew_seconds), ProxyRetries()
    lists = ListWatch(ListFolder(settings.network_lists_folder, settings.network_lists_days))
    await lists.refresh()
    with CounterMark(settings.data_dir, leases.counter) as mark:
        await starting("sql", lambda: leases.join(mark.ended))
        shards = [
            Shard(lease, client, engine, outages, writers, stopping, clocks, retries, lists) for lease in leases.leases
        ]
        meter.leases, meter.shards = leases, shards

        async def forget(shard: int, producers: list[str]) -> None:
            await Stream(client, shard).forget(producers)

        pruner = pruning.prune_forever(engine, Retention.of(settings), writers, forget)
        try:
            await _count(shards, [pruner, leases.run(stopping, outages), lists.run()], ready)
        finally:
            await leases.leave()


async def _count(shards: list[Shard], helpers: list[Coroutine[None, None, None]], ready: Callable[[], None]) -> None:
    async def announce() -> None:
        owned = [shard for shard in shards if shard.lease.held.is_set()]
        for shard in owned:
            await shard.answered.wait()
        # Before the supervisor knows: its summary is to be the last thing that a start prints.
        _log.info("counting", shards=len(owned))
        ready()

    async with asyncio.TaskGroup() as background:
        running = [background.create_task(helper) for helper in (announce(), *helpers)]
        async with asyncio.TaskGroup() as counting:
            for shard in shards:
                counting.create_task(shard.run())
        for task in running:
            task.cancel()


async def _shards(engine: AsyncEngine, configured: int) -> int:
    """Return the number of shards to count, including those from before the setting was lowered."""
    async with sql.reading(engine) as connection:
        highest = (await connection.execute(select(func.max(positions.c.shard)))).scalar()
    return max(configured, 1 + (highest if highest is not None else -1))


async def _until_it_succeeds(
    settings: Settings, outages: Outages, stopping: asyncio.Event, cause: Cause, attempt: Callable[[], Awaitable[T]]
) -> T | None:
    """Retry `attempt` and return its first result; return None when the process must stop before.

    Raise `Misconfigured` where no retry can help.
    """
    name = "ONEBYONE_STREAM_URL" if cause == "stream" else store_refusals.sql_setting(settings, reports=True)
    while not stopping.is_set():
        try:
            result = await attempt()
        except NewerSchema as newer:
            raise Misconfigured(f"{name}: {newer}") from None
        except (*redis_client.Unavailable, SQLAlchemyError) as error:
            if (reason := store_refusals.refusal(error)) is not None:
                raise Misconfigured(f"{name}: {reason}") from None
            await asyncio.sleep(outages.failed(cause, _NO_SHARD, error))
        else:
            outages.succeeded(_NO_SHARD)
            return result
    return None
