"""Events that the release before record version 2 has written: archived, in the stream, and not even shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from onebyone.check import report_store
from onebyone.contracts import batches, events, keys
from onebyone.contracts.traffic_classes import COUNTED_REASONS
from onebyone.edge.journal.reader import JournalReader
from onebyone.edge.journal.shipment import Shipment
from onebyone.report_store import schema, tables
from onebyone.runtime import sql
from onebyone.settings import Settings
from tests.counter.harness import Harness
from tests.support import record_v1
from tests.support.valkey import ValkeyProcess

SHARDS = 4
"""As many as the older release had by default; the journal says which one it ships to."""


def test_every_event_of_the_journal_is_read(tmp_path: Path) -> None:
    record_v1.create_journal(tmp_path)
    kept = record_v1.read_batches(tmp_path)
    lines = [line for batch in kept for line in batches.unpack(batch.payload)]
    read: list[Any] = [events.decode_event(line) for line in lines]
    assert len(lines) == record_v1.WRITTEN
    assert all(line.startswith(b'{"v":1,') for line in lines)
    assert {(event["v"], "reason" in event, "act" in event) for event in read} == {(2, False, False)}
    assert sum(event["kind"] == "clk" for event in read) == sum(b'"kind":"clk"' in line for line in lines) > 3
    assert {flag for event in read for flag in event.get("flags", ())} == {
        "macro_unreplaced",
        "ancost_invalid",
        "redirect_refused",
    }


def test_stream_entries_are_those_of_the_journal(tmp_path: Path) -> None:
    record_v1.create_journal(tmp_path)
    entries = record_v1.read_stream_entries()
    shipped = [batches.read_entry(entry)[0] for entry in entries]
    assert shipped == record_v1.read_batches(tmp_path)[record_v1.COUNTED : record_v1.SHIPPED]


@pytest.mark.anyio
async def test_all_are_counted_once_and_recounted_after_an_upgrade(
    shared_valkey: ValkeyProcess, tmp_path: Path
) -> None:
    path, journals = tmp_path / "reports.sqlite3", tmp_path / "journal"
    record_v1.create_report_store(path)
    record_v1.create_journal(journals)
    settings = Settings(report_database_url=f"sqlite+aiosqlite:///{path}", stream_url=shared_valkey.url, shards=SHARDS)
    await schema.upgrade(settings.report_store_url)
    engine, client = sql.create_engine(settings.report_store_url), shared_valkey.client()
    harness = Harness(client, engine, settings)
    counted = [await harness.counted()]
    for entry in record_v1.read_stream_entries():
        client.xadd(keys.events_key(batches.shard_of(record_v1.PRODUCER, SHARDS)), entry)  # type: ignore[arg-type]
    await harness.drain()
    counted.append(await harness.counted())
    (journal,) = JournalReader.adopt_abandoned(journals, set())
    shipment = Shipment(journal)
    shipment.apply_progress(b"%d" % record_v1.COUNTED, None)
    assert shipment.send_page(client) == record_v1.WRITTEN - record_v1.COUNTED
    await harness.drain()
    counted.append(await harness.counted())
    assert counted == [record_v1.COUNTED, record_v1.SHIPPED, record_v1.WRITTEN]
    assert {row.reason for row in await harness.rows(tables.hourly)} <= {*COUNTED_REASONS}
    async with sql.reading(engine, snapshot=True) as connection:
        (sums,) = await report_store.check_sums(connection, 36_500, 0)
        clicks = (await connection.execute(select(func.count()).select_from(tables.clicks))).scalar_one()
    assert (sums.wrong, sums.text.split()[0]) == (False, str(record_v1.WRITTEN))
    assert clicks == sum(row.events for row in await harness.rows(tables.hourly) if row.kind == "clk")
    journal.close()
    await engine.dispose()
    client.close()
