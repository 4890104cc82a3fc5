"""A journal of which the tests control every sync."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from onebyone.edge.journal import disk_sync
from tests.edge.journal.group_commits import FaultyJournal
from tests.edge.journal.held_disk import HeldDisk


@pytest.fixture
def disk() -> HeldDisk:
    """The disk below the journal."""
    return HeldDisk()


@pytest.fixture
def journal(tmp_path: Path, disk: HeldDisk, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyJournal]:
    """A journal on that disk."""
    monkeypatch.setattr(disk_sync, "open_disk_sync", disk.open)
    journal = FaultyJournal.create(tmp_path, "00000000000000aa", 0)
    assert isinstance(journal, FaultyJournal)
    yield journal
    journal.close()
