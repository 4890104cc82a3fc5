"""The SQL statements that a piece of work sends to a store, and the store's plans for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

Statement = tuple[str, Any]
"""Text and parameters, as the driver takes them."""


@contextmanager
def recorded(engine: AsyncEngine) -> Iterator[list[Statement]]:
    """Record the statements sent inside the block, with `BEGIN` and `COMMIT` for the bounds of a transaction."""
    statements: list[Statement] = []

    def executed(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if not statement.startswith("BEGIN"):
            statements.append((statement, parameters))

    hooks: dict[str, Callable[..., Any]] = {
        "before_cursor_execute": executed,
        "begin": lambda _: statements.append(("BEGIN", ())),
        "commit": lambda _: statements.append(("COMMIT", ())),
    }
    for name, hook in hooks.items():
        event.listen(engine.sync_engine, name, hook)
    try:
        yield statements
    finally:
        for name, hook in hooks.items():
            event.remove(engine.sync_engine, name, hook)


async def explained(engine: AsyncEngine, statement: Statement) -> list[str]:
    """Return the lines of the store's plan for a statement."""
    text, parameters = statement
    sqlite = engine.dialect.name == "sqlite"
    async with engine.connect() as connection:
        rows = await connection.exec_driver_sql(f"EXPLAIN {'QUERY PLAN ' if sqlite else ''}{text}", parameters)
        return [str(row[-1]) for row in rows]
