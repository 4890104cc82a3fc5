"""The metric buffer of the edge: its updates are late but complete."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY

from onebyone.edge import metrics
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


def read_samples() -> list[float]:
    """Return the counts of events, batches, events in batches, and batches of two events at most."""
    names = ("recorded_total", "batch_events_count", "batch_events_sum")
    values = [REGISTRY.get_sample_value(f"onebyone_edge_{name}") for name in names]
    values.append(REGISTRY.get_sample_value("onebyone_edge_batch_events_bucket", {"le": "2.0"}))
    return [value or 0.0 for value in values]


async def test_batches_are_counted_later_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "FLUSH_SECONDS", 0.01)
    buffer = metrics.MetricBuffer(asyncio.get_running_loop())
    before = read_samples()

    def growth() -> list[float]:
        return [now - then for now, then in zip(read_samples(), before, strict=True)]

    for events in (1, 2, 64):
        buffer.add_batch(events)
    assert growth() == [0, 0, 0, 0]
    await eventually(lambda: growth() == [67, 3, 67, 2], "three batches are counted", 5.0)
    buffer.add_batch(5)
    buffer.flush()
    await asyncio.sleep(0.05)
    assert growth() == [72, 4, 72, 2]
