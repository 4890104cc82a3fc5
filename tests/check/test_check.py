"""`onebyone check`: a sound product has no faults, and each fault is named with a remedy."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from sqlalchemy import delete, update

from onebyone.check import delivery, journals, main, report_store, servers
from onebyone.check.finding import Finding
from onebyone.clock import now_ms
from onebyone.contracts import keys
from onebyone.edge.journal import writer
from onebyone.report_store import tables
from onebyone.runtime import sql
from onebyone.settings import Settings
from tests.counter.harness import Harness, event
from tests.support.journals import write
from tests.support.product import Product
from tests.support.traffic import Traffic
from tests.support.valkey import ValkeyProcess, start_valkey
from tests.support.waiting import wait_until


def check(product: Product, *options: str) -> tuple[int, str]:
    environment = {"PATH": "", "PYTHONPATH": ":".join(sys.path)} | product.environment
    command = [sys.executable, "-m", "onebyone", "check", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_a_running_product(product: Product) -> None:
    client = product.client()
    advertiser = client.create("advertiser", {"name": "A"})["id"]
    publisher = client.create("publisher", {"name": "P"})["id"]
    line_item = client.create("line-item", {"name": "L"}, advertiser_id=advertiser)["id"]
    parents = {"name": "T", "publisher": {"id": publisher}, "line_item": {"id": line_item}}
    number = client.create("imptracker", parents, advertiser_id=advertiser)["id"]
    live = f"{product.edge_url}/imptr?id={number}"
    wait_until(lambda: httpx.head(live).headers["x-onebyone"] == "ignored; reason=head", "live")
    traffic = Traffic(product.edge_url, lambda name: f"/imptr?id={number}&cachebuster={name}")
    traffic.start()
    code, text = check(product)
    assert code == 0, text
    traffic.stop()
    assert "edge: ready" in text
    assert "its sink is green" in text
    assert "equal to the report's sums" in text
    assert text.endswith("nothing is wrong\n")
    # Change a sum by hand.
    with sqlite3.connect(product.data_dir / "reports.sqlite3", timeout=20) as store:
        store.execute("UPDATE hourly SET events = events + 1")
    code, text = check(product)
    assert code == 1
    assert "sums are not those of the archived events" in text
    assert "do: keep the report store" in text


def subjects(found: list[Finding]) -> list[tuple[str, bool]]:
    return [(finding.text, finding.wrong) for finding in found]


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda path: None, "1 readable and whole, 1 in use"),
        (lambda path: path.with_suffix(".lock").unlink(), "has no lock file"),
        (lambda path: (path.with_name(f"{path.name}-wal").unlink(), path.write_bytes(b"rubbish")), "cannot be read"),
        (lambda path: path.with_name("0" * 16 + ".corrupt").touch(), "was unreadable and set aside"),
    ],
    ids=["sound", "no lock file", "broken", "set aside before"],
)
def test_journals(tmp_path: Path, damage: Callable[[Path], object], expected: str) -> None:
    own = writer.create_journal(tmp_path, 4)
    write(own, 1, b"payload")
    damage(tmp_path / f"{own.producer}.sqlite3")
    before = sorted(path.name for path in tmp_path.iterdir())
    found, _ = journals.check_journals(tmp_path)
    assert any(expected in finding.text for finding in found), found
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    own.close()


def test_journals_of_an_unused_data_folder(tmp_path: Path) -> None:
    found, states = journals.check_journals(tmp_path / "none")
    assert (found[0].skipped, found[0].wrong, states) == (True, False, [])


@pytest.mark.processes
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ""),
        (("--maxmemory-policy", "allkeys-lru"), "maxmemory-policy is allkeys-lru"),
        (("--appendonly", "no"), "append-only file is off"),
        (("--maxmemory", "1mb"), "bytes are used"),
    ],
    ids=["sound", "evicting", "no append-only file", "full"],
)
def test_stream_server_configuration(tmp_path: Path, options: tuple[str, ...], expected: str) -> None:
    server = start_valkey(tmp_path / "valkey", *options)
    found = servers.check_server("stream server", server.url, 2.0, events=True)
    server.remove()
    assert [finding.wrong for finding in found] == [bool(expected)]
    assert expected in found[0].text


def test_unreachable_and_unknown_servers(tmp_path: Path) -> None:
    (away,) = servers.check_server("cache server", f"unix://{tmp_path}/none", 2.0, events=False)
    assert (away.wrong, "does not answer" in away.text) == (True, True)
    (unknown,) = servers.check_server("cache server", "", 2.0, events=False)
    assert (unknown.wrong, unknown.skipped) == (False, True)


@pytest.mark.parametrize(("there", "apart"), [(100.5, False), (98.5, False), (97.0, True), (104.0, True)])
def test_clock_skew(there: float, apart: bool) -> None:
    assert bool(servers.check_skew("stream server", 100.0, there, 101.0, 2.0)) == apart


@pytest.mark.parametrize(
    ("low", "high", "committed", "expected"),
    [
        (1, 5, 3, "every batch that is not counted is still kept: 2"),
        (4, 5, 3, "every batch that is not counted is still kept: 2"),
        (5, 6, 3, "batches 4 to 4 of producer"),
        (1, 0, 0, "every batch that is not counted is still kept: 0"),
    ],
    ids=["kept", "kept from the next on", "forgotten too early", "empty"],
)
def test_delivery(low: int, high: int, committed: int, expected: str) -> None:
    state = journals.JournalState("a" * 16, 0, low, high)
    (found,) = delivery.check_delivery([state], {}, {"a" * 16: committed}, "")
    assert expected in found.text


def test_delivery_of_a_batch_that_only_the_stream_has(shared_valkey: ValkeyProcess) -> None:
    state = journals.JournalState("a" * 16, 0, 3, 3)
    with shared_valkey.client() as client:
        for seq in (1, 2):
            client.xadd(keys.events_key(0), {"p": "a" * 16, "s": seq})
    (found,) = delivery.check_delivery([state], {}, {"a" * 16: 1}, shared_valkey.url)
    assert not found.wrong


def test_a_report_store_restored_to_an_earlier_state(shared_valkey: ValkeyProcess) -> None:
    with shared_valkey.client() as client:
        client.hset(keys.progress_key(1), "a" * 16, "9")
    told = delivery.read_progress(shared_valkey.url, 4)
    (found,) = delivery.check_delivery([], told, {"a" * 16: 7}, shared_valkey.url)
    assert "has forgotten" in found.text


@pytest.mark.anyio
async def test_report_store_losses_and_sums(each_harness: Harness) -> None:
    lane = each_harness
    ts = now_ms()
    lane.send(1, event(ts=ts), event(ts=ts, kind="clk"), b"not JSON", event(ts=ts, tracker_id=9))
    await lane.drain()
    lane.send(3, event(ts=ts), kept_from=3)
    await lane.drain()

    async def found() -> list[str]:
        async with sql.reading(lane.engine, snapshot=True) as connection:
            looked = await report_store.check_losses(connection, 2.0) + await report_store.check_sums(
                connection, 100, 0
            )
        return [finding.text for finding in looked]

    lost, letter, sums = await found()
    assert "1 batches were lost" in lost
    assert letter == "1 dead letters with reason bad_json"
    assert sums.startswith("4 archived events counted again: equal")
    async with sql.writing(lane.engine) as connection:
        await connection.execute(update(tables.hourly).where(tables.hourly.c.tracker_id == 9).values(cost_nanos=1))
    assert (await found())[2].startswith("1 sums are not those")
    async with sql.writing(lane.engine) as connection:
        await connection.execute(delete(tables.archive))
    assert (await found())[2].startswith("2 sums are not those")


@pytest.mark.anyio
async def test_nothing_to_look_at_is_skipped_and_creates_nothing(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "none", edge_port=1, api_port=1, counter_port=1)
    found = [finding async for finding in main.all_findings(settings, 0)]
    assert not any(finding.wrong for finding in found)
    assert not (tmp_path / "none").exists()


def test_what_answers_on_the_ports_does_not_vouch_for_an_unused_folder(product: Product, tmp_path: Path) -> None:
    code, text = check(product, "--data-dir", str(tmp_path / "none"))
    assert code == 2, text
    assert text.startswith("ok      edge: ready on ")
    assert text.splitlines()[-1].startswith("only the ports could be checked, and ")


def test_findings_escape_hostile_text() -> None:
    assert "\x1b" not in Finding("journals", "\x1b]0;x\x07 \u202e cannot be read", "\x9b").line()
