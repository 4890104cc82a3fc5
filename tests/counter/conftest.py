"""Fixtures of the counter's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.counter.harness import Harness, RunningHarness
from tests.support.valkey import ValkeyProcess


@pytest.fixture
async def harness(shared_valkey: ValkeyProcess, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Harness]:
    """A counter on SQLite."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'reports.sqlite3'}"
    async with RunningHarness(shared_valkey, url) as running:
        yield running


@pytest.fixture
async def each_harness(shared_valkey: ValkeyProcess, sql_url: str, anyio_backend: str) -> AsyncIterator[Harness]:
    """A counter on SQLite, and one on PostgreSQL."""
    async with RunningHarness(shared_valkey, sql_url) as running:
        yield running
