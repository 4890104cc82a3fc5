"""The statements that a piece of work sends to a store, and how the store would run them."""

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
    """The statements that are sent inside the block; transactions begin and end as `BEGIN` and `COMMIT`."""
    found: list[Statement] = []

    def executed(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if not statement.startswith("BEGIN"):
            found.append((statement, parameters))

    hooks: dict[str, Callable[..., Any]] = {
        "before_cursor_execute": executed,
        "begin": lambda _: found.append(("BEGIN", ())),
        "commit": lambda _: found.append(("COMMIT", ())),
    }
    for name, hook in hooks.items():
        event.listen(engine.sync_engine, name, hook)
    try:
        yield found
    finally:
        for name, hook in hooks.items():
            event.remove(engine.sync_engine, name, hook)


async def explained(engine: AsyncEngine, statement: Statement) -> list[str]:
    """The lines of the store's plan."""
    text, parameters = statement
    sqlite = engine.dialect.name == "sqlite"
    async with engine.connect() as connection:
        rows = await connection.exec_driver_sql(f"EXPLAIN {'QUERY PLAN ' if sqlite else ''}{text}", parameters)
        return [str(row[-1]) for row in rows]
