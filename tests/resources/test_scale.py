"""Lists and searches of many trackers: results are correct, and no statement reads the whole table."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, delete, func, insert, select, update

from loadtests import crowd
from onebyone.config_store import row_counts, schema, tables, trigrams
from onebyone.runtime import sql
from tests.support import plans
from tests.support.api_harness import Harness, Json

pytestmark = pytest.mark.anyio
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)
SIZE = 2400
"""Trackers in three blocks of ids, the last one not full."""
TRACKERS = tables.imptracker


@pytest.fixture
async def world(api: Harness) -> Json:
    """Create an advertiser with many trackers, and another with a few between them."""
    first, second = await api.world(), await api.world()
    for world, size in ((first, SIZE // 2), (second, 24), (first, SIZE // 2 - 24)):
        links = {f"{name.replace('-', '_')}_id": world[name] for name in ("advertiser", "line-item", "publisher")}
        await crowd.fill_store(api.store, size, links)
    return {"first": first["advertiser"], "second": second["advertiser"]}


READS = [
    "",
    "start_element={deep}",
    "start_element={deep}&sort=id.desc",
    "advertiser_id={first}&start_element={deep}",
    "advertiser_id={second}",
    "state=inactive",
    "not_state=active",
    "state=inactive&advertiser_id={second}",
    "state=active&start_element=2000&sort=id.desc",
    "search=nordlicht",
    "search=234",
    "like_name=LICHT",
    "like_name=licht&advertiser_id={second}",
    "like_code=T-11",
    "name=Spring Spring Summer 000100",
    "code=t-100",
    "sort=name",
    "sort=name.desc",
    "sort=name.desc&advertiser_id={first}",
    "sort=last_modified.desc",
    "sort=state.desc",
]


@ENGINES
async def test_page_reads_never_scan_the_table(api: Harness, world: Json) -> None:
    faults = {}
    for read in READS:
        query = read.format(deep=SIZE - 100, **world)
        with plans.recorded(api.store) as statements:
            assert (await api.send("GET", f"/imptracker?{query}")).status_code == 200
        found = [statement for statement in statements if "imptracker" in statement[0]]
        assert 2 <= len(found) <= 3
        lines = [line.strip() for statement in found for line in await plans.explained(api.store, statement)]
        if any(is_whole(line) for line in lines):
            faults[read] = lines
    assert faults == {}


def is_whole(line: str) -> bool:
    """Return whether a step of a plan scans all trackers, or sorts them."""
    if "Seq Scan on imptracker" in line and "tally" not in line:
        return True
    return line == "SCAN imptracker" or line.startswith("SCAN imptracker USING")


@ENGINES
async def test_order_comes_from_an_index(api: Harness, world: Json) -> None:
    for by, direction in product(("id", "name", "last_modified", "state"), ("asc", "desc")):
        for owner in ("", f"&advertiser_id={world['first']}"):
            with plans.recorded(api.store) as statements:
                await api.send("GET", f"/imptracker?sort={by}.{direction}{owner}")
            (ids,) = (each for each in statements if each[0].startswith("SELECT imptracker.id \nFROM imptracker"))
            lines = await plans.explained(api.store, ids)
            assert not [line for line in lines if "TEMP B-TREE" in line or "Sort" in line], lines
            assert [line for line in lines if "COVERING INDEX" in line or "Index Only Scan" in line], lines


@ENGINES
async def test_pages_and_counts_are_correct(api: Harness, world: Json) -> None:
    await disturb(api, world)
    async with sql.reading(api.store) as connection:
        rows = [dict(row) for row in (await connection.execute(select(TRACKERS).order_by(TRACKERS.c.id))).mappings()]
    assert 2000 < len(rows) < SIZE
    for query, wanted in (
        ({}, rows),
        ({"sort": "id.desc"}, rows[::-1]),
        ({"state": "inactive"}, [row for row in rows if row["state"] == "inactive"]),
        ({"not_state": "inactive"}, [row for row in rows if row["state"] == "active"]),
        ({"not_state": "inactive,active"}, []),
        ({"state": "active,inactive"}, rows),
        ({"advertiser_id": world["first"]}, [row for row in rows if row["advertiser_id"] == world["first"]]),
        ({"advertiser_id": world["second"]}, [row for row in rows if row["advertiser_id"] == world["second"]]),
        ({"not_advertiser_id": world["second"]}, [row for row in rows if row["advertiser_id"] == world["first"]]),
        ({"max_advertiser_id": world["first"]}, [row for row in rows if row["advertiser_id"] == world["first"]]),
        ({"advertiser_id": 0}, []),
        ({"search": "nordlicht"}, [row for row in rows if "Nordlicht" in row["name"]]),
        ({"search": "11"}, [row for row in rows if "11" in row["name"] or "11" in str(row["id"])]),
        ({"search": "113"}, [row for row in rows if "113" in row["name"] or "113" in str(row["id"])]),
        ({"like_code": "T-9"}, [row for row in rows if "t-9" in (row["code_key"] or "")]),
        ({"like_name": "ed \"quo"}, [row for row in rows if "ed \"quo" in row["name"]]),
        ({"sort": "state.desc"}, sorted(rows, key=lambda row: (row["state"], row["id"]), reverse=True)),
    ):  # fmt: skip
        for start in (0, 50, 999, 1000, 1500, len(rows) - 30, len(rows), 10**6):
            await check_page(api, query, wanted, start)


async def disturb(api: Harness, world: Json) -> None:
    """Create, update and delete trackers, through the API and directly in the store."""
    async with sql.writing(api.store) as connection:
        third = TRACKERS.c.id % 3 == 0
        await connection.execute(update(TRACKERS).where(third, TRACKERS.c.id < 700).values(state="inactive"))
        await connection.execute(delete(TRACKERS).where(TRACKERS.c.id.between(1050, 1100)))
        renamed = update(TRACKERS).where(TRACKERS.c.id == 300).values(name="Quoted \"quo%ted\" _Nordlicht")  # fmt: skip
        await connection.execute(renamed)
    await api.put("imptracker", 200, {"state": "inactive", "name": "No longer found"})
    await api.put("imptracker", 201, {"code": "T-9999"})
    assert (await api.delete("imptracker", "202,203"))["count"] == 2
    other = await api.second_member()
    made = await other.tracker("imptracker", await other.world(), name="Nordlicht of others")
    assert [row["id"] for row in (await other.call("GET", "imptracker", search="nordlicht"))["imptrackers"]] == [
        made["id"]
    ]
    assert (await other.delete("imptracker", made["id"]))["count"] == 1


async def check_page(api: Harness, query: Json, wanted: list[Json], start: int) -> None:
    """Return one page, and the count of all."""
    response = await api.call("GET", "imptracker", start_element=start, num_elements=20, fields="id", **query)
    assert response["count"] == len(wanted), query
    assert [row["id"] for row in response["imptrackers"]] == [row["id"] for row in wanted[start : start + 20]], query


@ENGINES
async def test_migration_counts_existing_trackers(
    store_url: str, tmp_path: Any, request: pytest.FixtureRequest
) -> None:
    old = f"sqlite+aiosqlite:///{tmp_path / 'old.sqlite3'}"
    url = old if store_url.startswith("sqlite") else request.getfixturevalue("postgres_server").fresh_database()
    engine = sql.create_engine(url)

    def upgrade(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(schema.SCRIPTS))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")

    stamp: Json = {"state": "active", "last_modified": "2026-01-01 00:00:00", "doc": {}}
    links = {"advertiser_id": 1, "line_item_id": 1, "publisher_id": 1}
    async with sql.writing(engine) as connection:
        await connection.run_sync(upgrade)
        await connection.execute(insert(tables.member).values(name="M", **stamp))
        for table in (tables.advertiser, tables.publisher):
            await connection.execute(insert(table).values(member_id=1, name="X", **stamp))
        await connection.execute(insert(tables.line_item).values(member_id=1, advertiser_id=1, name="X", **stamp))
        for name in ("Alpha", "Beta"):
            await connection.execute(insert(TRACKERS).values(member_id=1, name=name, **links, **stamp))
            more = {"click_url": f"https://{name}.example/"}
            await connection.execute(
                insert(tables.clicktracker).values(member_id=1, name=name, **links, **stamp, **more)
            )
    await schema.upgrade(url)
    async with sql.reading(engine) as connection:
        for table in tables.ROW_COUNT_TABLES:
            assert (
                await row_counts.count_rows(connection, table, [table.c.member_id == 1, table.c.state == "active"]) == 2
            )
            sums = select(func.sum(tables.ROW_COUNT_TABLES[table].c.objects))
            assert await connection.scalar(sums) == 4
            held = select(table.c.id).where(trigrams.TrigramMatch(table, 1, "beta"))
            assert list(await connection.scalars(held)) == [2]
    await engine.dispose()


@ENGINES
async def test_write_is_one_transaction_of_few_statements(api: Harness) -> None:
    """Besides the writing transaction, one reads the caller; on PostgreSQL writers take turns with `FOR UPDATE`."""
    world = await api.world()
    with plans.recorded(api.store) as created:
        made = await api.tracker("imptracker", world)
    with plans.recorded(api.store) as changed:
        await api.put("imptracker", made["id"], {"name": "New"})
    with plans.recorded(api.store) as deleted:
        await api.delete("imptracker", made["id"])
    for statements, most in ((created, 8), (changed, 7), (deleted, 5)):
        texts = [text for text, _ in statements if not text.endswith("FOR UPDATE")]
        assert (texts.count("BEGIN"), texts.count("COMMIT")) == (2, 1)
        assert sum(text not in ("BEGIN", "COMMIT") for text in texts) <= most
