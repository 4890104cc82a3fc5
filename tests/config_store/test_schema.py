"""The schema of the configuration store, its constraints, and the first start."""

from __future__ import annotations

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Connection, insert
from sqlalchemy.exc import IntegrityError

from onebyone.config_store import schema, tables
from onebyone.resources.admin.bootstrap import bootstrap
from onebyone.runtime import sql
from onebyone.settings import Settings
from tests.support.api_harness import Harness

pytestmark = pytest.mark.anyio


async def test_migrations_create_the_metadata(sql_url: str) -> None:
    await schema.upgrade(sql_url)
    await schema.upgrade(sql_url)
    engine = sql.create_engine(sql_url)

    def differences(connection: Connection) -> list[object]:
        options = {
            "version_table": schema.VERSION_TABLE,
            "compare_type": True,
            "include_name": _is_not_a_trigram_index,
        }
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


def _is_not_a_trigram_index(name: str | None, kind: str, parents: object) -> bool:
    """Leave out the trigram index, which SQLAlchemy cannot describe: on SQLite it is a virtual table and its parts."""
    return "_pieces" not in (name or "")


async def test_concurrent_first_starts_bootstrap_once(sql_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    await schema.upgrade(sql_url)
    engines = [sql.create_engine(sql_url) for _ in range(3)]
    settings = Settings(database_url=sql_url, admin_username="root", admin_password=SecretStr(""))
    lines = [line for line in await asyncio.gather(*(bootstrap(engine, settings) for engine in engines)) if line]
    assert len(lines) == 1
    assert lines[0].startswith("Created user 'root' with password '")
    assert lines[0].endswith("' (shown once)")
    assert capsys.readouterr().err == ""
    assert await bootstrap(engines[0], settings) is None
    async with engines[0].connect() as connection:
        for name in ("member", "store_state"):
            assert (await connection.exec_driver_sql(f"SELECT count(*) FROM {name}")).scalar_one() == 1
    for engine in engines:
        await engine.dispose()


@pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)
async def test_store_refuses_reference_to_another_member(api: Harness) -> None:
    other = await api.second_member()
    theirs, own = await other.world(), await api.world()
    row = {
        "member_id": 1,
        "advertiser_id": own["advertiser"],
        "line_item_id": own["line-item"],
        "publisher_id": own["publisher"],
        "name": "x",
        "state": "active",
        "last_modified": "2026-01-01 00:00:00",
        "doc": {},
    }
    foreign = {
        "advertiser_id": theirs["advertiser"],
        "line_item_id": theirs["line-item"],
        "publisher_id": theirs["publisher"],
        "placement_id": theirs["placement"],
        "payment_rule_id": theirs["payment-rule"],
    }
    for column, value in foreign.items():
        with pytest.raises(IntegrityError):
            async with sql.writing(api.store) as connection:
                await connection.execute(insert(tables.imptracker).values({**row, column: value}))
