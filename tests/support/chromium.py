"""A real Chromium, driven by Playwright."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.support.debian_packages import needs

_PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
# Without those for the background, it looks up hosts outside this machine at every start.
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def _missing_packages() -> list[str]:
    missing = [] if _PROGRAM else ["chromium"]
    try:
        # Playwright's own node is linked to it.
        ctypes.CDLL("libatomic.so.1")
    except OSError:
        missing.append("libatomic1")
    return missing


_MISSING = _missing_packages()
required = pytest.mark.skipif(bool(_MISSING), reason=needs(*_MISSING))
"""Skips a test where Chromium cannot run."""


@contextmanager
def opened_page(profile: Path, hosts: str = "", **options: Any) -> Iterator[Page]:
    """Yield a page of a browser with an empty profile; `options` are those of `launch_persistent_context`.

    Names that match the pattern `hosts` are those of this machine.
    """
    flags = [*_FLAGS, f"--host-resolver-rules=MAP {hosts} 127.0.0.1"] if hosts else _FLAGS
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(profile), executable_path=_PROGRAM, args=flags, headless=True, **options
        )
        yield context.new_page()
        context.close()


@contextmanager
def watched_from_outside(profile: Path, url: str) -> Iterator[None]:
    """Open a page in a browser that no DevTools are attached to: those keep pages from being rendered in advance."""
    assert _PROGRAM is not None
    command = [_PROGRAM, "--headless=new", f"--user-data-dir={profile}", *_FLAGS, url]
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        browser.terminate()
        browser.wait(30)
