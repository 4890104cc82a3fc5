"""What the counter says about itself, and the page on which the API shows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from onebyone.counter import shard
from onebyone.counter.ledger import Ledger
from onebyone.runtime import metrics_page
from tests.counter.harness import Harness, event
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


def value(name: str, **labels: str) -> float:
    """Return the value of a metric in this process."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_metrics_follow_the_counting(harness: Harness) -> None:
    names = {
        "imps": ("onebyone_counter_events_total", {"kind": "imp"}, 2),
        "clicks": ("onebyone_counter_events_total", {"kind": "clk"}, 1),
        "batches": ("onebyone_counter_batches_total", {}, 2),
        "duplicates": ("onebyone_counter_duplicate_batches_total", {}, 1),
        "dead letters": ("onebyone_counter_dead_letters_total", {"reason": "bad_json"}, 1),
        "lost batches": ("onebyone_counter_lost_batches_total", {}, 3),
        "resends": ("onebyone_counter_resends_total", {}, 1),
    }
    before = {name: value(sample, **labels) for name, (sample, labels, _) in names.items()}
    harness.send(1, event(), event(), event(kind="clk"), b"x")
    harness.send(1)
    harness.send(5, b"", kept_from=5)
    harness.send(7)
    await harness.drain()
    found = {name: value(sample, **labels) - before[name] for name, (sample, labels, _) in names.items()}
    assert found == {name: expected for name, (_, _, expected) in names.items()} | {"dead letters": 2}
    assert value("onebyone_counter_waiting_producers", shard="0") == 1
    assert value("onebyone_counter_behind_batches", shard="0") == 0
    assert value("onebyone_counter_oldest_seconds", shard="0") == 0


async def test_the_lag_grows_while_the_store_is_unreachable(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = Ledger.commit
    away = True

    async def fail(self: Ledger, *values: object) -> None:
        if away:
            raise OSError("no store")
        await commit(self, *values)  # type: ignore[arg-type]

    monkeypatch.setattr(Ledger, "commit", fail)
    monkeypatch.setattr(shard, "DRAIN_SECONDS", 30.0)
    before = value("onebyone_counter_errors_total", store="sql")
    async with harness.counter():
        harness.send(1)
        await eventually(lambda: value("onebyone_counter_oldest_seconds", shard="0") > 0.5, "lag")
        assert value("onebyone_counter_errors_total", store="sql") > before
        assert value("onebyone_counter_behind_batches", shard="0") == 1
        away = False
        await eventually(lambda: value("onebyone_counter_oldest_seconds", shard="0") == 0, "no lag")


@pytest.mark.processes
def test_the_page_shows_this_process_and_folders_of_others(tmp_path: Path) -> None:
    script = (
        "from onebyone.counter import metrics; metrics.EVENTS.labels('imp').inc(41); metrics.BEHIND.labels('0').set(3)"
    )
    for _ in range(2):
        environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
        subprocess.run([sys.executable, "-c", script], env=environment, check=True)
    page = metrics_page.render_metrics([tmp_path, tmp_path / "absent"])
    assert b'onebyone_counter_events_total{kind="imp"} 82.0' in page
    assert b'onebyone_counter_behind_batches{shard="0"} 3.0' in page
    assert b"python_info" in page


@pytest.mark.processes
def test_the_page_of_one_of_many_processes_shows_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "from onebyone.counter import metrics; metrics.BATCHES.inc(5)"
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    page = metrics_page.render_metrics()
    assert b"onebyone_counter_batches_total 5.0" in page
    assert page.count(b"# HELP onebyone_counter_batches_total") == 1
