"""The private parts of prometheus_client that the product replaces or relies on.

`pyproject.toml` bounds prometheus_client by its next minor version. When the bound is raised, these tests say what has
moved and what breaks with it.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from onebyone.runtime.metrics import _ENTRY_BYTES, ReservedDict


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this process would write its metrics, if it made some now."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    return tmp_path


def shared_value(kind: str, **more: str) -> Any:
    """Return a value in a file, as a metric of that kind makes it."""
    make: Any = values.MultiProcessValue()  # type: ignore[no-untyped-call]
    return make(kind, "m", "m_total", (), (), "Help.", **more)


def test_values_are_kept_in_the_class_that_the_module_names(folder: Path) -> None:
    assert isinstance(shared_value("counter")._file, ReservedDict), (
        "runtime/metrics.py replaces values.MmapedDict: without that, a full file system ends processes with SIGBUS"
    )


def test_names_of_the_files(folder: Path) -> None:
    for kind, more in (("counter", {}), ("histogram", {}), ("gauge", {"multiprocess_mode": "livesum"})):
        shared_value(kind, **more)
    pid = os.getpid()
    assert {path.name for path in folder.iterdir()} == {
        f"counter_{pid}.db",
        f"histogram_{pid}.db",
        f"gauge_livesum_{pid}.db",
    }, "metrics_page.py reads *.db, and supervisor/roles.py removes a dead process's gauge_live*_PID.db"


def test_attributes_of_a_file(tmp_path: Path) -> None:
    file: Any = MmapedDict(str(tmp_path / "file.db"))  # type: ignore[no-untyped-call]
    assert {name for name in vars(file) if name.startswith("_")} == {
        "_f",
        "_fname",
        "_capacity",
        "_m",
        "_positions",
        "_used",
    }, "ReservedDict sets all of them where there is no room for a file"
    assert (file._used, struct.unpack("i", file._m[:4])) == (8, (8,)), "ReservedDict begins its memory like that"
    file.close()


@pytest.mark.parametrize("length", range(1, 18))
def test_an_entry_is_not_longer_than_its_name_and_what_is_reserved(tmp_path: Path, length: int) -> None:
    file: Any = MmapedDict(str(tmp_path / "file.db"))  # type: ignore[no-untyped-call]
    before = file._used
    file.write_value("n" * length, 1.0, 0.0)
    assert file._used - before <= length + _ENTRY_BYTES, "an entry is written beyond the blocks that were allocated"
    file.close()


def test_a_new_entry_is_made_by_init_value(tmp_path: Path) -> None:
    made: list[str] = []

    class Noted(MmapedDict):
        def _init_value(self, key: str) -> None:
            made.append(key)
            super()._init_value(key)  # type: ignore[no-untyped-call]

    file: Any = Noted(str(tmp_path / "file.db"))  # type: ignore[no-untyped-call]
    file.read_value("read")
    file.write_value("written", 1.0, 0.0)
    file.close()
    assert made == ["read", "written"], "ReservedDict does not grow its file before it is written to"


def test_a_larger_map_is_used_from_its_next_entry_on(tmp_path: Path) -> None:
    file: Any = MmapedDict(str(tmp_path / "file.db"))  # type: ignore[no-untyped-call]
    file.write_value("first", 1.0, 0.0)
    larger = mmap.mmap(-1, 2 * file._capacity)
    larger[: file._used] = file._m[: file._used]
    file._m, file._capacity = larger, 2 * file._capacity
    file.write_value("second", 2.0, 0.0)
    assert {key: value for key, value, _ in file.read_all_values()} == {"first": 1.0, "second": 2.0}, (
        "ReservedDict replaces the map of a file that cannot grow by memory"
    )
    file._f.close()


def test_files_are_merged_without_a_registry(folder: Path) -> None:
    shared_value("counter").inc(3)
    (metric,) = MultiProcessCollector.merge([str(path) for path in folder.glob("*.db")])  # type: ignore[no-untyped-call]
    (sample,) = metric.samples
    assert (sample.name, sample.value) == ("m_total", 3.0), "metrics_page.py merges the folders of several roles"


def test_a_metric_knows_the_names_of_its_labels() -> None:
    counter = Counter("labelled", "Help.", ["one", "two"], registry=CollectorRegistry())
    assert counter._labelnames == ("one", "two"), "tests/test_docs.py compares docs/metrics.md with them"
