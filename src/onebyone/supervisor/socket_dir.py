"""A private folder whose path is short enough for a unix socket."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from onebyone.supervisor.fault import StartFault

LONGEST_SOCKET_PATH = 103
"""Bytes; macOS has the smallest limit (Linux: 107)."""
_PREFIX = "onebyone-"
_SOCKET = "valkey.sock"


def create_socket_dir() -> Path:
    """Create a folder of mode 0700 in the first suitable place; raise `StartFault` when there is none."""
    for place in _places():
        if len(os.fsencode(place / f"{_PREFIX}12345678" / _SOCKET)) > LONGEST_SOCKET_PATH:
            continue
        try:
            return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        except OSError:
            continue
    raise StartFault(
        f"no writable folder with a path short enough for a unix socket (at most {LONGEST_SOCKET_PATH} bytes) among "
        f"{', '.join(str(place) for place in _places())}; XDG_RUNTIME_DIR or TMPDIR can name one"
    )


def socket_path(folder: Path) -> Path:
    """Return the path of the socket in a folder that `create_socket_dir` created."""
    return folder / _SOCKET


def remove_socket_dir(folder: Path) -> None:
    """Remove a folder that `create_socket_dir` created; leave any other alone."""
    if folder.name.startswith(_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


def _places() -> list[Path]:
    candidates = [os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp", "/var/tmp"]  # noqa: S108
    return [Path(place) for place in dict.fromkeys(candidates) if place]
