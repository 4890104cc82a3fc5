"""Servers and databases behave as the tests rely on."""

from __future__ import annotations

import pytest

from onebyone.runtime import sql
from tests.support.valkey import ValkeyProcess


def test_valkey_restarts_with_its_data_after_a_kill(valkey: ValkeyProcess) -> None:
    with valkey.client() as client:
        client.set("a", 1)
    valkey.kill()
    valkey.restart()
    with valkey.client() as client:
        assert client.get("a") == b"1"


@pytest.mark.parametrize("_", ["first", "second"])
def test_shared_valkey_is_empty_for_each_test(shared_valkey: ValkeyProcess, _: str) -> None:
    with shared_valkey.client() as client:
        assert client.dbsize() == 0
        client.set("left", "over")


@pytest.mark.anyio
async def test_fresh_database_accepts_a_transaction(sql_url: str) -> None:
    engine = sql.create_engine(sql_url)
    async with sql.writing(engine) as connection:
        await connection.exec_driver_sql("CREATE TABLE t (n INTEGER)")
        await connection.exec_driver_sql("INSERT INTO t VALUES (1)")
    async with sql.reading(engine) as connection:
        assert (await connection.exec_driver_sql("SELECT n FROM t")).scalar_one() == 1
    await engine.dispose()
