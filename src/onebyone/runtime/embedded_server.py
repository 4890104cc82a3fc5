"""Where the embedded server of a running `onebyone serve` is, for commands beside it."""

from __future__ import annotations

from pathlib import Path


def url(data_dir: Path) -> str:
    """URL of the server that runs on a data folder; empty when none does."""
    try:
        return (data_dir / "run" / "embedded-valkey").read_text().strip()
    except OSError:
        return ""
