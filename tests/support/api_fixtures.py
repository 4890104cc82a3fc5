"""The API on a store of each test's own: SQLite, or PostgreSQL with `TEST_STORE=postgresql` (`make test-postgres`).

A plugin of `tests/conftest.py`. It imports the API when a test first asks for it, so that others start without SQL.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.api_harness import Harness
    from tests.support.postgres import PostgresServer


@pytest.fixture(scope="session")
def cheap_hashes() -> None:
    """Give argon2 its least cost, so that a hundred logins do not take a minute."""
    from argon2 import PasswordHasher

    from onebyone.auth import passwords

    passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture(scope="session")
def _prepared(cheap_hashes: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("store") / "config.sqlite3"
    _prepare(f"sqlite+aiosqlite:///{file}")
    return file


@pytest.fixture(params=[os.environ.get("TEST_STORE", "sqlite")])
def store_url(request: pytest.FixtureRequest, _prepared: Path, tmp_path: Path) -> str:
    """Return the URL of a prepared store: the one that `TEST_STORE` names, or both for a test that parametrizes it."""
    if request.param == "sqlite":
        file = tmp_path / "config.sqlite3"
        shutil.copy(_prepared, file)
        return f"sqlite+aiosqlite:///{file}"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.fresh_database(_prepare)


def _prepare(url: str) -> None:
    from tests.support import api_harness

    asyncio.run(api_harness.prepare(url))


@pytest.fixture
async def api(store_url: str) -> AsyncIterator[Harness]:
    """Start the API with member 1's user logged in."""
    from tests.support import api_harness

    running = await api_harness.start(store_url)
    yield running
    await _end_reports()
    await running.http.aclose()
    await running.store.dispose()


async def _end_reports() -> None:
    # A report that no test awaited would keep its connection open for good. Some tests make them hang.
    reports = [task for task in asyncio.all_tasks() if task.get_name().startswith("report ")]
    if reports:
        _, hanging = await asyncio.wait(reports, timeout=1)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
