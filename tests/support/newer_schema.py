"""A store as a newer release leaves it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy import text

from onebyone.runtime import sql


def newer_schema(url: str, upgrade: Callable[[str], Awaitable[None]], table: str) -> None:
    """Migrate a store, and give it a revision that does not exist yet."""

    async def run() -> None:
        await upgrade(url)
        engine = sql.create_engine(url)
        async with sql.writing(engine) as connection:
            await connection.execute(text(f"UPDATE {table} SET version_num = '9999'"))
        await engine.dispose()

    asyncio.run(run())
