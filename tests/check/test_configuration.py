"""`onebyone check` compares the versions of the configuration store, the cache server and the edge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from onebyone.check import configuration, deployment
from onebyone.config_store import tables
from onebyone.config_store.store_head import read_store_head
from onebyone.contracts.configuration import Head
from onebyone.runtime import sql
from onebyone.settings import Settings
from tests.support.api_harness import Harness
from tests.support.valkey import ValkeyProcess

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "AGREE_SECONDS", 0.0)


def _edge_says(monkeypatch: pytest.MonkeyPatch, head: Head | None, reset: dict[str, Any] | None = None) -> None:
    names = ("configuration_store", "configuration_version")
    state: dict[str, Any] = dict(zip(names, (head.store_id, head.version) if head else (None, None), strict=True))
    monkeypatch.setattr(deployment, "ask", lambda url, token="": (200, {**state, "configuration_reset": reset}))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "store, cache server and edge are at version"),
        ({"version": -1}, "has version"),
        ({"version": +1}, "has version"),
        ({"committed_ms": +1}, "of a discarded history"),
        ({"store_id": "other"}, "of another store"),
    ],
    ids=["same", "older", "newer", "another history", "another store"],
)
@pytest.mark.parametrize("asked", ["cache server", "edge"])
async def test_versions_are_compared(
    api: Harness,
    shared_valkey: ValkeyProcess,
    monkeypatch: pytest.MonkeyPatch,
    store_url: str,
    asked: str,
    change: dict[str, Any],
    expected: str,
) -> None:
    await api.tracker("imptracker", await api.world())
    async with sql.reading(api.store) as connection:
        store = await read_store_head(connection)
    told = Head(
        change.get("store_id", store.store_id),
        store.version + change.get("version", 0),
        store.committed_ms + change.get("committed_ms", 0),
    )
    with shared_valkey.client() as client:
        client.mset((told if asked == "cache server" else store).values())
    _edge_says(monkeypatch, told if asked == "edge" else store)
    (found,) = await configuration.check_configuration(Settings(database_url=store_url), shared_valkey.url)
    # An edge names its store and version only.
    differs = bool(change) and (asked == "cache server" or "committed_ms" not in change)
    assert found.wrong == differs
    if differs and asked == "edge":
        expected = "the edge answers from"
    assert not differs or expected in found.text


async def test_an_empty_cache_server_and_an_edge_that_went_back(
    api: Harness, shared_valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch, store_url: str
) -> None:
    settings = Settings(database_url=store_url)
    async with sql.reading(api.store) as connection:
        store = await read_store_head(connection)
    _edge_says(monkeypatch, None)
    found = await configuration.check_configuration(settings, shared_valkey.url)
    assert ["has no complete configuration" in found[0].text, "could not confirm" in found[1].text] == [True, True]
    with shared_valkey.client() as client:
        client.mset(store.values())
    _edge_says(monkeypatch, store, {"from_version": 105, "to_version": store.version, "seconds_ago": 12.3})
    (fine,) = await configuration.check_configuration(settings, shared_valkey.url)
    assert not fine.wrong
    assert "the edge went back from version 105 12 s ago" in fine.text


async def test_what_cannot_be_compared_is_skipped(api: Harness, tmp_path: Path, store_url: str) -> None:
    (missing,) = await configuration.check_configuration(Settings(data_dir=tmp_path / "none", edge_port=1), "")
    assert missing.skipped
    settings = Settings(database_url=store_url, edge_port=1)
    (away,) = await configuration.check_configuration(settings, f"unix://{tmp_path}/none")
    assert away.skipped
    (alone,) = await configuration.check_configuration(settings, "")
    assert (alone.wrong, alone.skipped) == (False, False)
    async with sql.writing(api.store) as connection:
        await connection.execute(tables.store_state.delete())
    (empty,) = await configuration.check_configuration(settings, "")
    assert empty.skipped


def test_problems_that_keep_no_traffic_away_are_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    state = {"checks": {"journal": False}, "problems": {"journal": "No space left on device", "clock": "a day ahead"}}
    monkeypatch.setattr(deployment, "ask", lambda url, token="": (503, state) if url.endswith("readyz") else (200, {}))
    found = deployment.check_roles(Settings())
    texts = [finding.text for finding in found if finding.subject == "edge"]
    assert texts == ["is not ready: journal (No space left on device)", "clock: a day ahead"]
    assert all(finding.wrong for finding in found)
