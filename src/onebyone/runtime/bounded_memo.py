"""A memo whose size is bounded."""

from __future__ import annotations

from itertools import islice
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class BoundedMemo(dict[Key, Value]):
    """A memo of bounded size; when full it evicts the oldest eighth."""

    def __init__(self, limit: int = 4096) -> None:
        super().__init__()
        self._limit = limit

    def remember(self, key: Key, value: Value) -> None:
        """Store the value, evicting others if necessary."""
        if len(self) >= self._limit and key not in self:
            # Many at a time, since each eviction has to skip what earlier ones have left in the table.
            for oldest in list(islice(self, self._limit // 8 + 1)):
                del self[oldest]
        self[key] = value
