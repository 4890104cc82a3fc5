"""The check names the lists in use, and says what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from onebyone.check import traffic_lists
from onebyone.clock import DAY_MS
from onebyone.counter.classification import list_folder
from onebyone.settings import Settings

DAY = 1_795_000_000_000
"""2026-11-18, on which the pinned list of robots is young."""


def check(monkeypatch: pytest.MonkeyPatch, folder: Path, now_ms: int = DAY) -> list[str]:
    monkeypatch.setattr(list_folder, "now_ms", lambda: now_ms)
    return [finding.line() for finding in traffic_lists.check_lists(Settings(data_dir=folder, network_lists_days=30))]


def test_lists_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "network-lists").mkdir()
    (tmp_path / "network-lists" / "ours-20261101").write_text("203.0.113.0/24")
    (line,) = check(monkeypatch, tmp_path)
    assert line == "ok      traffic lists: crawler-user-agents of 2026-10-22, ours-20261101 of 2026-11-01"


def test_old_and_unreadable_lists_are_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "network-lists").mkdir()
    (tmp_path / "network-lists" / "ours-20261101").write_text("203.0.113.0/24")
    (tmp_path / "network-lists" / "bad").write_text("\x1b]0;x")
    unreadable, old = check(monkeypatch, tmp_path, DAY + 20 * DAY_MS)
    assert unreadable.startswith("WRONG   traffic lists: bad: not a network range")
    assert "\x1b" not in unreadable
    assert old.startswith("WRONG   traffic lists: ours-20261101 is 37 days old\n        do: put a new copy into ")
