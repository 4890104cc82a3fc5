"""Old rows of the outbox are deleted in steps, also those after and before a row that is dated in the future."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, update

from onebyone.clock import DAY_MS, now_ms
from onebyone.config_store import tables
from onebyone.publishing import publisher
from onebyone.publishing.publisher import ConfigPublisher
from onebyone.runtime import redis_client, sql
from tests.support.api_harness import Harness
from tests.support.valkey import ValkeyProcess

pytestmark = pytest.mark.anyio
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
async def cache(shared_valkey: ValkeyProcess) -> AsyncIterator[Any]:
    client = redis_client.connect(shared_valkey.url)
    yield client
    await client.aclose()


@ENGINES
@pytest.mark.parametrize(("newest_days", "kept"), [(0, [31, 32]), (-3, [32])], ids=["recent", "all old"])
async def test_rows_from_the_future_keep_no_old_ones(
    api: Harness, cache: Any, monkeypatch: pytest.MonkeyPatch, newest_days: int, kept: list[int]
) -> None:
    monkeypatch.setattr(publisher, "PRUNED_ROWS", 4)
    now = now_ms()
    days = [400] * 10 + [-2] * 10 + [400] * 10 + [newest_days, newest_days]
    days[29] = -2
    rows = [
        {"version": version, "keys": "", "created_ms": now + offset * DAY_MS}
        for version, offset in enumerate(days, start=1)
    ]
    outbox = tables.outbox
    async with sql.writing(api.store) as connection:
        await connection.execute(delete(outbox))
        await connection.execute(insert(outbox), rows)
        await connection.execute(update(tables.store_state).values(version=len(rows)))
    running = ConfigPublisher(api.store, cache)
    for _ in range(20):
        await running.run_pass()
    async with sql.reading(api.store) as connection:
        left = (await connection.execute(select(outbox.c.version).order_by(outbox.c.version))).scalars().all()
        assert await connection.scalar(select(func.count()).select_from(outbox)) == len(kept)
    assert list(left) == kept
