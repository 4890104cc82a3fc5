"""The folder of lists: read again after changes, with what is wrong in words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from onebyone.clock import DAY_MS
from onebyone.contracts.traffic_classes import TrafficClass
from onebyone.counter.classification import list_folder
from onebyone.counter.classification.list_folder import ListFolder

ROBOTS_OF = 1_795_000_000_000
"""A day on which the pinned list of robots is young: 2026-11-18."""


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_folder, "now_ms", lambda: ROBOTS_OF)


def folder_of(path: Path, **texts: str) -> ListFolder:
    for name, text in texts.items():
        (path / name).write_text(text)
        os.utime(path / name, (ROBOTS_OF / 1000, ROBOTS_OF / 1000))
    lists = ListFolder(path, 45)
    lists.refresh()
    return lists


def classify(lists: ListFolder, network: str) -> TrafficClass | None:
    return lists.classifier.classify_network(network)


def test_lists_of_all_files_count(tmp_path: Path) -> None:
    lists = folder_of(
        tmp_path, **{"a-20261101": "203.0.113.0/24", "b-20261102": "198.51.100.0/24", ".new": "192.0.2.0/24"}
    )
    assert classify(lists, "203.0.113.0") == classify(lists, "198.51.100.0") == "data_center"
    assert classify(lists, "192.0.2.0") is None
    names = [(used.name, used.date) for used in lists.classifier.lists]
    assert names == [("crawler-user-agents", "2026-10-22"), ("a-20261101", "2026-11-01"), ("b-20261102", "2026-11-02")]
    assert lists.problems() == []


def test_no_folder_is_no_problem(tmp_path: Path) -> None:
    lists = ListFolder(tmp_path / "none", 45)
    lists.refresh()
    assert lists.problems() == []
    assert classify(lists, "203.0.113.0") is None


def test_changes_make_another_classifier_and_the_same_files_do_not(tmp_path: Path) -> None:
    lists = folder_of(tmp_path, a="203.0.113.0/24")
    before = lists.classifier
    lists.refresh()
    assert lists.classifier is before
    (tmp_path / "a").write_text("198.51.100.0/24\n")
    lists.refresh()
    assert lists.classifier is not before
    assert before.classify_network("203.0.113.0") == "data_center"
    assert (classify(lists, "203.0.113.0"), classify(lists, "198.51.100.0")) == (None, "data_center")
    (tmp_path / "a").unlink()
    lists.refresh()
    assert classify(lists, "198.51.100.0") is None


def test_a_file_that_turns_bad_keeps_its_ranges_and_is_a_problem(tmp_path: Path) -> None:
    lists = folder_of(tmp_path, a="203.0.113.0/24", b="junk")
    assert lists.problems() == ["b: not a network range: 'junk'"]
    (tmp_path / "a").write_text("<html>")
    lists.refresh()
    assert lists.problems() == ["a: not a network range: '<html>'", "b: not a network range: 'junk'"]
    assert classify(lists, "203.0.113.0") == "data_center"
    (tmp_path / "a").write_text("198.51.100.0/24")
    (tmp_path / "b").unlink()
    lists.refresh()
    assert lists.problems() == []
    assert classify(lists, "203.0.113.0") is None


def test_old_lists_are_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = folder_of(tmp_path, **{"a-20261001": "203.0.113.0/24", "b-20261101": "198.51.100.0/24"})
    assert lists.problems() == ["a-20261001 is 48 days old"]
    monkeypatch.setattr(list_folder, "now_ms", lambda: ROBOTS_OF + 400 * DAY_MS)
    assert [problem.split()[0] for problem in lists.problems()] == ["crawler-user-agents", "a-20261001", "b-20261101"]


def test_an_unreadable_folder_keeps_what_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = folder_of(tmp_path, a="203.0.113.0/24")

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", refuse)
        lists.refresh()
    assert lists.problems() == [f"{tmp_path}: Permission denied"]
    assert classify(lists, "203.0.113.0") == "data_center"
    lists.refresh()
    assert lists.problems() == []


def test_the_number_of_files_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_folder, "FILES_MAX", 2)
    lists = folder_of(tmp_path, a="203.0.113.0/24", b="198.51.100.0/24", c="192.0.2.0/24")
    assert lists.problems() == [f"{tmp_path}: it has more than 2 files"]
    assert classify(lists, "192.0.2.0") is None
