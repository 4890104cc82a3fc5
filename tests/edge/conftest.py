"""Fixtures for the tests of the edge."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.edge_process import EdgeProcess, Publisher
from tests.support.tiers import starts_processes
from tests.support.valkey import ValkeyProcess, start_valkey


@pytest.fixture(scope="module")
@starts_processes
def module_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyProcess]:
    """A server that the tests of a module share; they only read from it."""
    server = start_valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.remove()


@pytest.fixture
def publisher(valkey: ValkeyProcess) -> Publisher:
    """A publisher to the server of this test alone."""
    return Publisher(valkey)


@pytest.fixture
@starts_processes
def edge(valkey: ValkeyProcess, publisher: Publisher, tmp_path: Path) -> Iterator[EdgeProcess]:
    """A ready edge process of this test alone, with an empty configuration."""
    publisher.publish()
    process = EdgeProcess(tmp_path / "data", valkey.url)
    process.start()
    yield process
    process.stop()
    process.listener.close()


@pytest.fixture
@starts_processes
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes; skip the test where it cannot be mounted."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small tmpfs: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
