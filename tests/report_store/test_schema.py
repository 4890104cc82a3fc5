"""The schema of the report store: migrations create the tables that the code uses."""

from __future__ import annotations

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from onebyone.report_store import schema
from onebyone.report_store.tables import metadata
from onebyone.runtime import sql


def _differences(connection: Connection) -> Any:
    options = {"compare_type": True, "version_table": schema.VERSION_TABLE}
    return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)


@pytest.mark.anyio
async def test_migrations_create_the_metadata(sql_url: str) -> None:
    await schema.upgrade(sql_url)
    await schema.upgrade(sql_url)
    engine = sql.create_engine(sql_url)
    async with sql.reading(engine) as connection:
        assert await connection.run_sync(_differences) == []
    await engine.dispose()
