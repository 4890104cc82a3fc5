"""The demo's password: made once, kept in its data folder, so that a second start can log in too."""

from __future__ import annotations

import secrets
from pathlib import Path


def password(data_dir: Path) -> str:
    """The kept password of this data folder, made when there is none. Raises OSError."""
    path = data_dir / "demo-password"
    if path.exists():
        return path.read_text().strip()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    # A capital, a small letter, a digit and a sign each, and nothing that a shell would read.
    made = f"Demo-1-{secrets.token_urlsafe(9)}"
    path.write_text(made + "\n")
    return made
