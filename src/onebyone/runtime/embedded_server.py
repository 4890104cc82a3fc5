"""The address of the embedded server of a running `onebyone serve`, for other commands on the same machine."""

from __future__ import annotations

from pathlib import Path


def read_url(data_dir: Path) -> str:
    """Return the URL of the server that runs on a data folder; empty when none does."""
    try:
        return (data_dir / "run" / "embedded-valkey").read_text().strip()
    except OSError:
        return ""
