"""SQL engines for SQLite and PostgreSQL with one behaviour: explicit transactions, durable commits, foreign keys on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, BigInteger, Connection, Integer, TextClause, event, make_url, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

Identity = BigInteger().with_variant(Integer, "sqlite")
"""Type of auto-incremented ids: SQLite increments only an INTEGER primary key."""

Document = JSON().with_variant(JSONB(), "postgresql")

BUSY_MS = 10_000
"""How long SQLite waits for another process's write lock before it raises: far longer than any transaction lasts."""


_CLOCKS = {
    "sqlite": text("CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"),
    "postgresql": text("CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"),
}


def create_engine(url: str, *, idle_transaction_seconds: int = 0) -> AsyncEngine:
    """Return an engine for `sqlite+aiosqlite:///...` or `postgresql+asyncpg://...`.

    PostgreSQL ends a session that leaves its transaction idle for `idle_transaction_seconds` (0: never), so that a
    process that was stopped in the middle of one holds no locks against others.
    """
    if not url.startswith("sqlite"):
        # Imported here, so that an installation on SQLite never loads the driver.
        from onebyone.runtime import postgres

        address, parameters = postgres.split_parameters(make_url(url))
        arguments = postgres.connect_arguments(idle_transaction_seconds) | parameters
        return create_async_engine(address, pool_pre_ping=True, connect_args=arguments)
    engine = create_async_engine(url)
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def is_missing(url: str) -> bool:
    """Return whether `url` is a SQLite file that does not exist: connecting would create an empty one."""
    parsed = make_url(url)
    return parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file()


def store_clock_ms(dialect: str) -> TextClause:
    """Return the expression for the store's own clock, in milliseconds since the epoch."""
    return _CLOCKS[dialect]


def _prepare(connection: Any, _: Any) -> None:
    # The sqlite3 module would begin a transaction only at the first write; `_begin` does so where SQLAlchemy begins.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={BUSY_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    # A deferred transaction that reads and then writes can fail without waiting: writers take the lock first.
    write = connection.get_execution_options().get("onebyone_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@asynccontextmanager
async def reading(engine: AsyncEngine, *, snapshot: bool = False) -> AsyncIterator[AsyncConnection]:
    """Open a connection in a read-only transaction; with `snapshot`, all its statements see one state.

    SQLite always does; PostgreSQL cannot vacuum old rows while such a transaction lasts.
    """
    async with engine.connect() as connection:
        if snapshot and connection.dialect.name == "postgresql":
            await connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Open a connection in a transaction that commits at the end of the block, or rolls back on an exception."""
    async with engine.connect() as connection:
        await connection.execution_options(onebyone_write=True)
        async with connection.begin():
            yield connection
