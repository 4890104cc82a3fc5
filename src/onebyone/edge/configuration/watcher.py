"""Following published changes: an edge applies each within a second, even if its announcement was lost."""

from __future__ import annotations

import asyncio
from typing import cast

import redis.asyncio
import structlog

from onebyone.clock import now_ms
from onebyone.contracts import keys
from onebyone.contracts.configuration import Head
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


class Watcher:
    """Read announcements from `keys.CHANGES`, compare them with `keys.HEAD`, and invalidate the cache accordingly."""

    def __init__(self, client: redis.asyncio.Redis, cache: ConfigCache) -> None:
        """Follow the changes on the cache server of `client`, and invalidate the records in `cache`."""
        self._client = client
        self._cache = cache
        self._head: Head | None = None
        self._position = "0-0"
        self._stopping = False
        self.complete = asyncio.Event()
        """Set once the cache server was seen complete: a tracker that is missing there does not exist."""
        self.confirmed_ms = 0
        """When the server was last seen complete with every change known, ms since the epoch; 0: never."""

    async def run(self) -> None:
        """Follow changes until `stop`; then return within `BLOCK_MS` if the server answers."""
        following = False
        outage = Outage(
            "cannot follow changes, answering from what is known",
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
        head = await self._read_head()
        newest = cast("list[tuple[bytes, object]]", await self._client.xrevrange(keys.CHANGES, count=1))
        self._position = newest[0][0].decode() if newest else "0-0"
        self._head = head
        # The cache may have missed changes that were announced before this position.
        self._cache.invalidate_all()

    async def _follow(self) -> None:
        await self._read_changes(BLOCK_MS)
        head = await self._read_head()
        if head is None or head == self._head:
            return
        # HEAD was read after the announcements; the one that moved it is in the stream by now, unless it was lost.
        await self._read_changes(None)
        if self._head is None:
            await self._resync()
        elif head.store_id != self._head.store_id or head.version > self._head.version:
            _log.warning("missed an announcement, looking up every record again", head=head.encode())
            await self._resync()

    async def _read_head(self) -> Head | None:
        encoded = cast("bytes | None", await self._client.get(keys.HEAD))
        if encoded is None:
            return None
        head = Head.decode(encoded)
        self.complete.set()
        self.confirmed_ms = now_ms()
        return head

    async def _read_changes(self, block_ms: int | None) -> None:
        reply = await self._client.xread({keys.CHANGES: self._position}, count=READ_ENTRIES, block=block_ms)
        for _, entries in cast("list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]", reply or []):
            for entry_id, fields in entries:
                self._position = entry_id.decode()
                for key in fields[b"keys"].decode().split():
                    self._cache.invalidate(key)
                if self._head is not None:
                    self._head = Head(self._head.store_id, int(fields[b"v"]))
