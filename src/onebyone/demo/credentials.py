"""The demo's password: generated once and kept in its data folder, so that a second start can log in too."""

from __future__ import annotations

import secrets
from pathlib import Path


def demo_password(data_dir: Path) -> str:
    """Return the password kept in this data folder; generate it when there is none.

    Raise `OSError` if it can be neither read nor written.
    """
    path = data_dir / "demo-password"
    if path.exists():
        return path.read_text().strip()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    # The prefix meets the rule for passwords, and no character needs quoting in a shell.
    generated = f"Demo-1-{secrets.token_urlsafe(9)}"
    path.write_text(generated + "\n")
    return generated
