"""Following published changes: an edge applies each within a second, even if its announcement was lost.

The changes that were read must lead to HEAD, each version from the one before. Where they do not, an announcement was
lost, the cache server was replaced, or the configuration store was restored from a backup and HEAD went back: every
record is then looked up again before its next use.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import redis.asyncio
import structlog

from onebyone.clock import now_ms
from onebyone.contracts import keys
from onebyone.contracts.configuration import Head
from onebyone.edge import metrics
from onebyone.edge.configuration.cache import ConfigCache
from onebyone.runtime.outage import Outage
from onebyone.runtime.redis_client import Unavailable

BLOCK_MS = 250
"""How long one read waits for announcements; HEAD is compared after each, so this also limits how long a lost
announcement goes unnoticed."""
READ_ENTRIES = 1000
"""Announcements of one read: a bulk import is read in a few steps, and each blocks the loop for a few milliseconds."""
BACKOFF_SECONDS = 0.2
"""Pause after a failed read: short, because changes are not applied meanwhile."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reset:
    """The published configuration went back: the store was restored from a backup, or it is another store."""

    known: Head
    """The head that was followed until then."""
    head: Head
    at_ms: int
    """When it was noticed, ms since the epoch."""


class Watcher:
    """Read announcements from `keys.CHANGES`, compare them with `keys.HEAD`, and invalidate the cache accordingly."""

    def __init__(self, client: redis.asyncio.Redis, cache: ConfigCache) -> None:
        """Follow the changes on the cache server of `client`, and invalidate the records in `cache`."""
        self._client = client
        self._cache = cache
        self._head: Head | None = None
        """The change up to which everything is applied; None: not known, so all has to be read again."""
        self._position = "0-0"
        self._stopping = False
        self.complete = asyncio.Event()
        """Set once the cache server was seen complete: a tracker that is missing there does not exist."""
        self.confirmed_ms = 0
        """When the server was last seen complete with every change known, ms since the epoch; 0: never."""
        self.head: Head | None = None
        """The newest head that was seen, also while the cache is being refilled."""
        self.reset: Reset | None = None
        """The last time that the head went back while this process ran."""

    async def run(self) -> None:
        """Follow changes until `stop`; then return within `BLOCK_MS` if the server answers."""
        following = False
        outage = Outage(
            "cannot follow changes on the cache server, answering from what is known",
            "following changes again",
            expected=Unavailable,
            backoff=(BACKOFF_SECONDS,),
        )
        while not self._stopping:
            try:
                if not following:
                    await self._resync()
                    following = True
                await self._follow()
            except Exception as error:
                # Catch everything, also what garbage in the cache raises: an edge that stopped following changes would
                # apply outdated rules forever.
                following = False
                await asyncio.sleep(outage.failed(error))
            else:
                outage.succeeded()

    def stop(self) -> None:
        """End `run`. Do not cancel it instead: redis-py can lose a cancellation that coincides with a reply."""
        self._stopping = True

    async def _resync(self) -> None:
        """Start to follow from what is published now."""
        transaction = self._client.pipeline(transaction=True)
        transaction.mget(keys.HEAD, keys.HEAD_COMMITTED)
        transaction.xrevrange(keys.CHANGES, count=1)
        values, newest = await transaction.execute()
        self._position = newest[0][0].decode() if newest else "0-0"
        self._head = self._note_head(*values)
        # The cache may have missed changes that were announced before this position.
        self._cache.invalidate_all()

    async def _follow(self) -> None:
        """Wait for changes and apply them; resync unless they lead to HEAD."""
        await self._wait_for_change()
        while True:
            # In one transaction, as they are published: entries and HEAD belong together.
            transaction = self._client.pipeline(transaction=True)
            transaction.xread({keys.CHANGES: self._position}, count=READ_ENTRIES)
            transaction.mget(keys.HEAD, keys.HEAD_COMMITTED)
            reply, values = await transaction.execute()
            entries = reply[0][1] if reply else []
            self._apply(entries)
            if len(entries) < READ_ENTRIES:
                break
        head = self._note_head(*values)
        if head is not None and head != self._head:
            if self._head is not None:
                _log.warning("missed an announcement, looking up every record again", head=head.encode())
            await self._resync()

    async def _wait_for_change(self) -> None:
        await self._client.xread({keys.CHANGES: self._position}, count=1, block=BLOCK_MS)

    def _note_head(self, encoded: bytes | None, committed: bytes | None) -> Head | None:
        """Return the head of these values, None while the cache is being refilled; tell when it went back."""
        if encoded is None:
            return None
        head = Head.decode(encoded, committed)
        if self.head is not None and head.went_back_from(self.head):
            self._note_reset(self.head, head)
            # Not an announcement that was lost.
            self._head = None
        self.head = head
        self.complete.set()
        self.confirmed_ms = now_ms()
        return head

    def _note_reset(self, known: Head, head: Head) -> None:
        self.reset = Reset(known, head, now_ms())
        self.head = head
        metrics.CONFIGURATION_RESETS.inc()
        _log.warning(
            "configuration went back, looking up every record again: a store was restored from a backup or replaced",
            known=known.encode(),
            head=head.encode(),
        )

    def _apply(self, entries: list[tuple[bytes, dict[bytes, Any]]]) -> None:
        for entry_id, fields in entries:
            self._position = entry_id.decode()
            for key in fields[b"keys"].decode().split():
                self._cache.invalidate(key)
            if self._head is not None:
                change = Head(self._head.store_id, int(fields[b"v"]), int(fields.get(b"ms", 0)))
                self._head = self._next_head(self._head, change)

    def _next_head(self, known: Head, change: Head) -> Head | None:
        """Return the head after an announced change; None if it does not follow `known`."""
        if change.version == known.version + 1:
            return change
        if change.went_back_from(known):
            self._note_reset(known, change)
        else:
            _log.warning("missed an announcement, looking up every record again", head=change.encode())
        return None
