"""An outage: something that a process retries until it works again.

It is logged once when it begins and once when it ends, however many attempts fail in between: a server that is away
fails hundreds of attempts a minute, and the log may lie on the disk that is full. Only the first error that is not
expected is logged in between, because it has another cause.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import structlog

BACKOFF_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Pauses between attempts: short at first, because most servers restart within a second; never more than two seconds,
because events wait meanwhile."""

ERROR_LENGTH = 300
"""Characters of an error that are logged; a driver may quote a whole statement."""

_log = structlog.get_logger()


def describe(error: BaseException) -> str:
    """Return the type and the text of an error: some drivers leave the text out of `repr`."""
    return f"{type(error).__name__}: {error}"[:ERROR_LENGTH] if str(error) else type(error).__name__


class Outage:
    """Failed attempts of one kind, by whichever of several sources (shards, say) make them.

    `began` and `ended` are the two log lines. An error that is not in `expected` is logged with its traceback.
    """

    def __init__(
        self,
        began: str,
        ended: str,
        *,
        expected: tuple[type[BaseException], ...] = (Exception,),
        backoff: Sequence[float] = BACKOFF_SECONDS,
        level: str = "warning",
    ) -> None:
        self._began = began
        self._ended = ended
        self._expected = expected
        self._backoff = backoff
        self._level = level
        self._attempts: dict[Hashable, int] = {}
        self._unexpected_logged = False

    @property
    def ongoing(self) -> bool:
        """Whether the last attempt of any source failed."""
        return bool(self._attempts)

    def failed(self, error: BaseException, source: Hashable = None, **fields: Any) -> float:
        """Note a failed attempt; return the seconds to wait before the next one. `fields` go into the log line."""
        unexpected = not isinstance(error, self._expected)
        if not self._attempts or (unexpected and not self._unexpected_logged):
            self._unexpected_logged = unexpected
            traceback = error if unexpected else None
            getattr(_log, self._level)(self._began, error=describe(error), exc_info=traceback, **fields)
        attempts = self._attempts[source] = self._attempts.get(source, 0) + 1
        return self._backoff[min(attempts, len(self._backoff)) - 1]

    def withdraw(self, source: Hashable = None) -> None:
        """Forget the failures of a source that makes no more attempts."""
        if self._attempts.pop(source, None) and not self._attempts:
            self._unexpected_logged = False

    def succeeded(self, source: Hashable = None, **fields: Any) -> None:
        """Note that an attempt of `source` succeeded."""
        if self._attempts.pop(source, None) and not self._attempts:
            self._unexpected_logged = False
            _log.info(self._ended, **fields)
