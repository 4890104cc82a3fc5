"""Keeps what the product writes from other users of the machine: password hashes, events, the demo's password.

New files and folders get no rights for others, whoever creates them: every command sets the umask first, and its child
processes inherit it. What an earlier release left open is closed at the start, before anything else is opened: SQLite
gives `-wal` and `-shm` the mode of their database, whatever the umask is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onebyone.settings import Settings

OTHERS = stat.S_IRWXG | stat.S_IRWXO
"""All rights of the group and of everybody else."""
_FOLDERS = ("journal", "run", "valkey")
_FILES = ("*.sqlite3", "*.sqlite3-*", "demo-password")
_SQLITE = "sqlite+aiosqlite:///"


def restrict_new_files() -> None:
    """Give files and folders that this process and its children create no rights for others."""
    os.umask(OTHERS)


def close_to_others(settings: Settings) -> list[str]:
    """Take from others all rights on what the product keeps on disk; return a line for whatever stays open.

    The data folder itself keeps its mode, because the operator may share it on purpose: an open one is a line. Nothing
    is done to a symbolic link or to files that are not the product's.
    """
    warnings = []
    failed: list[str] = []
    folder = settings.data_dir.resolve()
    mode = _open_mode(folder)
    if mode:
        warnings.append(f"data folder {folder} is open to other users (mode {mode:04o}): run chmod 700 on it")
    for path in _own_paths(settings, folder):
        mode = _open_mode(path)
        if not mode:
            continue
        try:
            # Only ever takes rights away, so that it does no harm if the path has become a link in the meantime.
            path.chmod(mode & ~OTHERS)
        except OSError as error:
            failed.append(f"{path} is open to other users (mode {mode:04o}) and cannot be closed: {error.strerror}")
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        warnings.append(failed[0] + more)
    return warnings


def _own_paths(settings: Settings, folder: Path) -> Iterator[Path]:
    for pattern in _FILES:
        yield from folder.glob(pattern)
    for name in _FOLDERS:
        if (folder / name).is_symlink():
            continue
        yield folder / name
        for parent, folders, files in os.walk(folder / name):
            yield from (Path(parent, each) for each in (*folders, *files))
    for url in {settings.config_store_url, settings.report_store_url}:
        if url.startswith(_SQLITE):
            database = Path(url.removeprefix(_SQLITE).partition("?")[0])
            yield from (database.with_name(database.name + suffix) for suffix in ("", "-wal", "-shm", "-journal"))


def _open_mode(path: Path) -> int:
    """Return the permissions of a file, folder or socket that others have rights on; 0 for all else."""
    try:
        status = path.lstat()
    except OSError:
        return 0
    mode = stat.S_IMODE(status.st_mode)
    return 0 if stat.S_ISLNK(status.st_mode) or not mode & OTHERS else mode
