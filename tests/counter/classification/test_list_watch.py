"""A counter counts by the lists as they are now, and shows how old they are and what is wrong with them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from onebyone.counter import metrics
from onebyone.counter.classification import list_folder, list_watch
from onebyone.counter.classification.list_folder import ListFolder
from onebyone.counter.classification.list_watch import ListWatch
from tests.counter.classification.test_list_folder import ROBOTS_OF

pytestmark = pytest.mark.anyio


def value(name: str, **labels: str) -> float | None:
    gauge = metrics.LIST_AGE if labels else metrics.LIST_PROBLEMS
    samples = [sample for family in gauge.collect() for sample in family.samples if sample.labels == labels]
    return samples[0].value if samples else None


async def test_classes_follow_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (list_folder, list_watch):
        monkeypatch.setattr(module, "now_ms", lambda: ROBOTS_OF)
    watch = ListWatch(ListFolder(tmp_path, 30))
    await watch.refresh()
    before = watch.classes
    assert before.classify(b"Mozilla/5.0 (X11; Linux x86_64) Gecko/1 Firefox/1", b"203.0.113.0") == ""
    assert value("problems") == 0
    (tmp_path / "ours-20261001").write_text("203.0.113.0/24")
    (tmp_path / "bad").write_text("?")
    os.utime(tmp_path / "bad", (ROBOTS_OF / 1000, ROBOTS_OF / 1000))
    await watch.refresh()
    assert watch.classes is not before
    assert watch.classes.classify(b"Mozilla/5.0 (X11; Linux x86_64) Gecko/1 Firefox/1", b"203.0.113.0") == "data_center"
    assert value("age", list="ours-20261001") == 48 * 86_400
    assert value("problems") == 2, "one is old, one cannot be read"
    now = watch.classes
    await watch.refresh()
    assert watch.classes is now, "what is remembered stays while no list changes"
