"""Reports that were ordered long ago are deleted with their files, whether or not anybody orders another one."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, select

from onebyone.clock import HOUR_MS, now_ms
from onebyone.config_store import tables
from onebyone.reports import run_store
from onebyone.reports.run_store import LEASE_MS, RunStore, format_timestamp
from onebyone.runtime import sql
from tests.support.api_harness import Harness

pytestmark = pytest.mark.anyio
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)


@ENGINES
async def test_old_files_are_deleted_in_steps(api: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_store, "PRUNED_RUNS", 4)
    now = now_ms()
    runs: dict[str, tuple[int, str, int]] = {
        "ahead": (now + 5000 * HOUR_MS, "ready", 0),
        "old": (now - 25 * HOUR_MS, "ready", 0),
        "failed": (now - 25 * HOUR_MS, "error", 0),
        "abandoned": (now - 25 * HOUR_MS, "pending", now - HOUR_MS),
        "abandoned ahead": (now - 25 * HOUR_MS, "pending", now + HOUR_MS),
        "under way": (now - 25 * HOUR_MS, "pending", now + LEASE_MS),
        "recent": (now - 23 * HOUR_MS, "ready", 0),
    }
    rows: list[dict[str, Any]] = [
        {
            "id": f"{name} {number}",
            "member_id": 1,
            "user_id": 1,
            "created_on": format_timestamp(created),
            "request": {},
            "status": status,
            "leased_ms": leased,
            "body": b"x" * 100,
        }
        for name, (created, status, leased) in runs.items()
        for number in range(6)
    ]
    async with sql.writing(api.store) as connection:
        await connection.execute(insert(tables.report), rows)
    store, steps = RunStore(api.store, lambda: now), 1
    while await store.prune(24):
        steps += 1
    assert steps == 5 * 6 // 4 + 1
    async with sql.reading(api.store) as connection:
        left = (await connection.execute(select(tables.report.c.id))).scalars().all()
    assert {name.rpartition(" ")[0] for name in left} == {"under way", "recent"}
    assert len(left) == 12
