"""The wheel contains all files that it serves: an installation without a checkout serves the same pages."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.tiers import starts_processes

ROOT = Path(__file__).parents[2]
SERVED = """
import onebyone
from onebyone.api.openapi import pages
print(onebyone.__file__, *(len(pages.load_page(path).content) for path in pages.PATHS))
"""


@pytest.fixture
@starts_processes
def unpacked(tmp_path: Path) -> Path:
    """The files of the wheel, unpacked."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "unpacked")
    return tmp_path / "unpacked"


def test_pages_are_served_from_the_wheel(unpacked: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", SERVED],
        env=os.environ | {"PYTHONPATH": str(unpacked)},
        cwd=unpacked,
        check=True,
        capture_output=True,
        text=True,
    )
    file, *sizes = found.stdout.split()
    assert Path(file).is_relative_to(unpacked)
    assert all(int(size) > 100 for size in sizes)
    # Swagger UI is a separate package, pinned by hash, and not part of the wheel.
    assert not list((unpacked / "onebyone").rglob("*swagger*"))
