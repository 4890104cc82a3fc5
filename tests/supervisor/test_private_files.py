"""Files are the product's alone: every mode under the data folder, whoever created it, with any umask."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from onebyone.runtime import metrics_folder
from onebyone.runtime.private_files import close_to_others
from onebyone.settings import Settings
from tests.support.product import PASSWORD, Product, start_product
from tests.support.tiers import starts_processes


def open_paths(folder: Path) -> list[str]:
    """Return the paths below a folder on which others have rights, each with its mode."""
    paths = []
    for path in folder.rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode & 0o077 and not path.is_symlink():
            paths.append(f"{path.relative_to(folder)} {mode:04o}")
    return sorted(paths)


@pytest.fixture
def _common_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
@starts_processes
def in_open_folder(tmp_path: Path, _common_umask: None) -> Iterator[Product]:
    """A product on a folder that everybody may read, with a journal, a store and a password that are open too."""
    data_dir = tmp_path / "data"
    (data_dir / "journal").mkdir(parents=True)
    data_dir.chmod(0o755)
    for name in ("config.sqlite3", "demo-password", "journal/0123456789abcdef.sqlite3"):
        (data_dir / name).touch()
    (data_dir / "notes.txt").touch()
    shared = start_product(data_dir, metrics_dir=tmp_path)
    yield shared
    shared.stop()


def run(product: Product, *command: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "onebyone", *command]
    return subprocess.run(
        arguments, env=product.full_environment(), input=f"{PASSWORD}\n", text=True, capture_output=True, check=False
    )


def test_nothing_that_a_running_product_writes_is_open(in_open_folder: Product, tmp_path: Path) -> None:
    product = in_open_folder
    product.client().create("advertiser", {"name": "A"})
    assert run(product, "user", "create", "second", "--member", "1").returncode == 0
    names = {path.name for path in product.data_dir.rglob("*")}
    assert {"config.sqlite3-wal", "config.sqlite3-shm", "reports.sqlite3-wal", "edge.lock"} <= names
    assert any(name.endswith(".aof") for name in names), names
    assert open_paths(product.data_dir) == ["notes.txt 0644"], "only what is not the product's"
    settings = Settings(data_dir=product.data_dir, metrics_dir=str(tmp_path))
    folders = metrics_folder.existing_folders(settings, "edge")
    assert folders
    assert any(list(folder.iterdir()) for folder in folders)
    for folder in folders:
        assert open_paths(folder.parent) == []
    socket = Path(
        (product.data_dir / "run" / "embedded-valkey").read_text().strip().removeprefix("unix://").partition("?")[0]
    )
    assert socket.is_socket()
    assert open_paths(socket.parent) == []
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700


def test_an_open_data_folder_is_one_warning_of_each_command(in_open_folder: Product) -> None:
    product = in_open_folder
    line = f"onebyone: warning: data folder {product.data_dir} is open to other users (mode 0755): run chmod 700 on it"
    assert product.stderr.read_text().splitlines().count(line) == 1
    assert run(product, "user", "list").stderr.splitlines() == [line]
    product.data_dir.chmod(0o700)
    assert run(product, "user", "list").stderr == ""


@pytest.mark.usefixtures("_common_umask")
@pytest.mark.processes
def test_the_stores_of_a_command_alone_are_closed(tmp_path: Path) -> None:
    product = start_product(tmp_path / "data")
    product.stop()
    for path in (tmp_path / "data").rglob("*"):
        path.chmod(path.stat().st_mode | 0o055)
    elsewhere = tmp_path / "elsewhere.sqlite3"
    (tmp_path / "data" / "config.sqlite3").rename(elsewhere)
    product.environment["ONEBYONE_DATABASE_URL"] = f"sqlite+aiosqlite:///{elsewhere}"
    done = run(product, "user", "create", "second", "--member", "1")
    assert done.returncode == 0, done.stderr
    assert open_paths(tmp_path / "data") == []
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o600


def test_links_and_the_files_of_others_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    (outside / "file").chmod(0o644)
    outside.chmod(0o755)
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    (data_dir / "journal").symlink_to(outside)
    (data_dir / "config.sqlite3").symlink_to(outside / "file")
    assert close_to_others(Settings(data_dir=data_dir)) == []
    assert open_paths(outside) == ["file 0644"]
    assert stat.S_IMODE(outside.stat().st_mode) == 0o755
    (data_dir / "demo-password").touch()
    (data_dir / "demo-password").chmod(0o604)

    def refuse(path: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    (line,) = close_to_others(Settings(data_dir=data_dir))
    assert (
        line
        == f"{data_dir}/demo-password is open to other users (mode 0604) and cannot be closed: Operation not permitted"
    )
