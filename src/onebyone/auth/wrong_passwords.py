"""Limits how often a session may guess the password of its user, where a new password asks for the old one."""

from __future__ import annotations

import structlog

from onebyone.errors import TooManyRequests

WRONG_MAX = 5
"""Wrong guesses in a window: more than a person mistypes, and far too few to find a password."""
WINDOW_MS = 5 * 60_000
"""As long as the window of the limit on logins."""

_log = structlog.get_logger()


class WrongPasswords:
    """Wrong guesses of each user in this process; only users with a session are here, so that it stays small."""

    def __init__(self) -> None:
        self._wrong: dict[int, list[int]] = {}

    def require_room(self, user_id: int, now_ms: int) -> None:
        """Raise `TooManyRequests` after `WRONG_MAX` wrong guesses within the window."""
        recent = [at_ms for at_ms in self._wrong.get(user_id, ()) if at_ms > now_ms - WINDOW_MS]
        if len(recent) >= WRONG_MAX:
            raise TooManyRequests(
                f"{len(recent)} wrong old passwords in 5 minutes",
                retry_after=max(1, (recent[0] + WINDOW_MS - now_ms) // 1000),
                made=len(recent) + 1,
                user_id=user_id,
            )
        if recent:
            self._wrong[user_id] = recent
        else:
            self._wrong.pop(user_id, None)

    def note(self, user_id: int, now_ms: int) -> None:
        """Count a wrong guess, and log it."""
        self._wrong.setdefault(user_id, []).append(now_ms)
        _log.warning("wrong old password", user=user_id)
