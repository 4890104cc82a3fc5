"""Fixtures of the counter's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.counter.lane import Lane, LaneMaker
from tests.support.valkey import ValkeyProcess


@pytest.fixture
async def lane(shared_valkey: ValkeyProcess, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Lane]:
    """A lane on SQLite."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'reports.sqlite3'}"
    async with LaneMaker(shared_valkey, url) as made:
        yield made


@pytest.fixture
async def each_lane(shared_valkey: ValkeyProcess, sql_url: str, anyio_backend: str) -> AsyncIterator[Lane]:
    """A lane on SQLite, and one on PostgreSQL."""
    async with LaneMaker(shared_valkey, sql_url) as made:
        yield made
