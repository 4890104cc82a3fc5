"""Where metric files are, that a full file system ends no process, and that nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from onebyone.runtime import metrics_folder, metrics_page
from onebyone.runtime.metrics_folder import ROOM_BYTES, MetricsFolders
from onebyone.settings import Settings
from tests.support.tiers import starts_processes

COUNT = """
import sys
from onebyone.runtime.metrics import Counter, Gauge
counter = Counter("full", "Help.", ["name"])
for number in range(int(sys.argv[1])):
    counter.labels(f"{number:0100d}").inc()
Gauge("also", "Help.", multiprocess_mode="livesum").set(1)
print(counter.labels(f"{0:0100d}")._value.get())
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


@pytest.fixture
@starts_processes
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system with less room than metric files are given; skips where it cannot be mounted."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM_BYTES // 64}", "tmpfs", str(folder)]
    if (mounted := subprocess.run(mount, capture_output=True)).returncode != 0:
        pytest.skip(f"cannot mount a small tmpfs: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def settings(tmp_path: Path, place: Path | None = None) -> Settings:
    (tmp_path / "data" / "run").mkdir(parents=True, exist_ok=True)
    return Settings(data_dir=tmp_path / "data", metrics_dir=str(place or ""))


def write(folder: Path, labels: int) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    command = [sys.executable, "-c", COUNT, str(labels)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_files_are_in_memory_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_folder, "ROOM_BYTES", 0)
    if not os.access("/dev/shm", os.W_OK):  # noqa: S108
        pytest.skip("no /dev/shm")
    folders = MetricsFolders(settings(tmp_path))
    folder = folders.create("edge")
    assert folder is not None
    assert folder.is_relative_to("/dev/shm")  # noqa: S108
    folders.remove()
    assert not folder.parent.exists()


@pytest.mark.parametrize("why", ["absent", "tiny"])
def test_the_next_place_is_taken(
    tmp_path: Path, place: Path, tiny: Path, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "absent" if why == "absent" else tiny
    monkeypatch.setattr(metrics_folder, "_places", lambda _: [first, place])
    folders = MetricsFolders(settings(tmp_path))
    folder = folders.create("edge")
    assert folder is not None
    assert folder.is_relative_to(place)
    assert metrics_folder.existing_folders(settings(tmp_path), "edge") == [folder]
    folders.remove()


def test_without_room_anywhere_there_is_no_folder(tmp_path: Path, tiny: Path) -> None:
    folders = MetricsFolders(settings(tmp_path, tiny))
    assert folders.create("edge") is None
    folders.remove()


@pytest.mark.parametrize("labels", [1, 1000], ids=["from the start", "while it grows"])
def test_a_full_file_system_ends_no_process(tiny: Path, labels: int) -> None:
    if labels == 1:
        (tiny / "ballast").write_bytes(b"\0" * (ROOM_BYTES // 64))
    done = write(tiny, labels)
    assert (done.returncode, done.stdout) == (0, "1.0\n"), done.stderr
    metrics_page.render_metrics([tiny])


@pytest.mark.processes
def test_a_grown_file_is_read_whole(place: Path) -> None:
    assert write(place, 1000).stdout == "1.0\n"
    assert metrics_page.render_metrics([place]).count(b"\nfull_total{") == 1000


def test_folders_of_killed_runs_are_removed_and_those_in_use_stay(tmp_path: Path, place: Path) -> None:
    used = MetricsFolders(settings(tmp_path / "used", place))
    kept = used.create("edge")
    left = place / f"onebyone-{os.getuid()}-0123456789abcdef"
    left.mkdir()
    (left / "lock").touch()
    other = place / f"onebyone-{os.getuid() + 1}-0123456789abcdef"
    other.mkdir()
    (other / "lock").touch()
    more = MetricsFolders(settings(tmp_path / "more", place))
    assert more.create("api") is not None
    assert kept is not None
    assert kept.exists()
    assert not left.exists()
    assert other.exists()
    more.remove()
    used.remove()
    assert list(place.iterdir()) == [other]


def test_two_supervisors_on_one_data_dir_share_the_folder(tmp_path: Path, place: Path) -> None:
    api, counter = (MetricsFolders(settings(tmp_path, place)) for _ in range(2))
    folders = api.create("api"), counter.create("counter")
    assert folders[0] is not None
    assert folders[1] is not None
    assert folders[0].parent == folders[1].parent
    assert metrics_folder.existing_folders(settings(tmp_path, place), "counter") == [folders[1]]
    api.remove()
    assert folders[1].exists()
    counter.remove()
    assert not list(place.iterdir())


def test_a_folder_that_others_may_write_to_is_not_trusted(tmp_path: Path, place: Path) -> None:
    folders = MetricsFolders(settings(tmp_path, place))
    folder = folders.create("edge")
    assert folder is not None
    folders.remove()
    folder.parent.mkdir(mode=0o777)
    folder.parent.chmod(0o777)
    assert MetricsFolders(settings(tmp_path, place)).create("edge") is None
    assert metrics_folder.existing_folders(settings(tmp_path, place), "edge") == []
