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
    """Wrong guesses of the last minutes in this process, by user; those of before are forgotten with the next one."""

    def __init__(self) -> None:
        self._wrong: dict[int, list[int]] = {}

    def require_room(self, user_id: int, now_ms: int) -> None:
        """Raise `TooManyRequests` after `WRONG_MAX` wrong guesses within the window."""
        recent = self._recent(user_id, now_ms)
        if len(recent) >= WRONG_MAX:
            raise TooManyRequests(
                f"{len(recent)} wrong old passwords in 5 minutes",
                retry_after=max(1, (recent[0] + WINDOW_MS - now_ms) // 1000),
                made=len(recent) + 1,
                user_id=user_id,
            )

    def note(self, user_id: int, now_ms: int) -> None:
        """Count a wrong guess, and log it."""
        kept = {other: recent for other in self._wrong if (recent := self._recent(other, now_ms))}
        kept.setdefault(user_id, []).append(now_ms)
        self._wrong = kept
        _log.warning("wrong old password", user=user_id)

    def _recent(self, user_id: int, now_ms: int) -> list[int]:
        # A clock that was set back must not lock anybody out until it has come to the old time again.
        return [at_ms for at_ms in self._wrong.get(user_id, ()) if now_ms - WINDOW_MS < at_ms <= now_ms]
