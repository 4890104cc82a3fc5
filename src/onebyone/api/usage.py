"""How many reads and writes a user made in the running minute, as answers tell it to clients that pace themselves."""

from __future__ import annotations

from dataclasses import dataclass

READ_LIMIT = 10_000
WRITE_LIMIT = 10_000
"""The pace that is announced; well-kept clients slow down before it."""
WINDOW_SECONDS = 60


@dataclass(slots=True)
class Usage:
    """Counts of one user in one window."""

    reads: int = 0
    writes: int = 0


class UsageCounter:
    """Counts per user in fixed windows; forgets everybody when a window ends."""

    def __init__(self) -> None:
        self._window = -1
        self._users: dict[int, Usage] = {}

    def count(self, user_id: int, method: str, now_ms: int) -> Usage:
        """Counts one request and returns the user's numbers, this one included."""
        window = now_ms // (WINDOW_SECONDS * 1000)
        if window != self._window:
            self._window = window
            self._users = {}
        usage = self._users.setdefault(user_id, Usage())
        if method in ("GET", "HEAD"):
            usage.reads += 1
        else:
            usage.writes += 1
        return usage
