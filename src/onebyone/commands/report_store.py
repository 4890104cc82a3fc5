"""Run a command on the report store, and print as one line why that is impossible."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.commands.options import write_error
from onebyone.report_store import schema
from onebyone.runtime import sql
from onebyone.runtime.migration import NewerSchema
from onebyone.settings import Settings


def run_on_report_store(settings: Settings, function: Callable[[AsyncEngine], Awaitable[int]]) -> int:
    """Return the exit code of `function`, called with the report store; 1 if the store is unusable."""

    async def run() -> int:
        await schema.require_known(settings.report_store_url)
        engine = sql.create_engine(settings.report_store_url)
        try:
            return await function(engine)
        finally:
            await engine.dispose()

    if sql.is_missing(settings.report_store_url):
        write_error(f"there is no report store at {settings.report_store_url}")
        return 1
    try:
        return asyncio.run(run())
    except NewerSchema as newer:
        write_error(f"the report store cannot be used: {newer}")
    except (SQLAlchemyError, OSError) as error:
        write_error(f"the report store cannot be used: {error!r:.300}")
    return 1
