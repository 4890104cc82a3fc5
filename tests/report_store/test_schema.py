"""The schema of the report store: migrations create the tables that the code uses."""

from __future__ import annotations

from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, select, text

from onebyone.report_store import schema
from onebyone.report_store.tables import hourly, metadata
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


SUMS_BEFORE = {
    "member_id": 1,
    "hour": 3600,
    "kind": "imp",
    "tracker_id": 7,
    **dict.fromkeys(("advertiser_id", "line_item_id", "insertion_order_id", "publisher_id"), 2),
    **dict.fromkeys(("site_id", "tag_id", "payment_rule_id"), 0),
    "events": 5,
    "cost_units": 4,
    "cost_nanos": 3,
    "revenue_units": 2,
    "revenue_nanos": 1,
}


def _migrate_to(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.SCRIPTS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


@pytest.mark.anyio
async def test_sums_from_before_reasons_are_those_of_counted_events(sql_url: str) -> None:
    engine = sql.create_engine(sql_url)
    async with sql.writing(engine) as connection:
        await connection.run_sync(_migrate_to, "0002")
        names, values = ", ".join(SUMS_BEFORE), ", ".join(f":{name}" for name in SUMS_BEFORE)
        await connection.execute(text(f"INSERT INTO hourly ({names}) VALUES ({values})"), SUMS_BEFORE)
    await schema.upgrade(sql_url)
    async with sql.reading(engine) as connection:
        rows = [dict(row) for row in (await connection.execute(select(hourly))).mappings()]
    assert rows == [{**SUMS_BEFORE, "reason": ""}]
    await engine.dispose()
