"""Follows the published changes, so that an edge answers by a change within a second, also after a lost message."""

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
BACKOFF_SECONDS = 0.2

_log = structlog.get_logger()


class Watcher:
    """Reads `keys.CHANGES` and compares with `keys.HEAD`, from `run` until `stop`."""

    def __init__(self, client: redis.asyncio.Redis, cache: ConfigCache) -> None:
        self._client = client
        self._cache = cache
        self._head: Head | None = None
        self._position = "0-0"
        self._stopping = False
        self.complete = asyncio.Event()
        """Set once the cache was seen complete: the edge can tell an unknown tracker from one not published yet."""
        self.confirmed_ms = 0
        """When the server was last seen complete, and every change of it known; 0: never."""

    async def run(self) -> None:
        """Follows until `stop`, then returns within `BLOCK_MS` when the server answers."""
        following = False
        outage = Outage(
            "cannot follow changes, answering by what is known",
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
                # Also what nobody should have written into the cache: an edge that stopped following would go on
                # answering by old rules for ever.
                following = False
                await asyncio.sleep(outage.failed(error))
            else:
                outage.over()

    def stop(self) -> None:
        """Ends `run`. It is not cancelled, because redis-py can lose a cancellation that meets a reply."""
        self._stopping = True

    async def _resync(self) -> None:
        head = await self._read_head()
        newest = cast("list[tuple[bytes, object]]", await self._client.xrevrange(keys.CHANGES, count=1))
        self._position = newest[0][0].decode() if newest else "0-0"
        self._head = head
        # Whatever was announced while nobody listened is not known.
        self._cache.invalidate_all()

    async def _follow(self) -> None:
        await self._read_changes(BLOCK_MS)
        head = await self._read_head()
        if head is None or head == self._head:
            return
        # The head was read after the messages; what made it move is in the stream by now, unless it was lost.
        await self._read_changes(None)
        if self._head is None:
            await self._resync()
        elif head.store_id != self._head.store_id or head.version > self._head.version:
            _log.warning("missed an announcement, looking everything up again", head=head.encode())
            await self._resync()

    async def _read_head(self) -> Head | None:
        text = cast("bytes | None", await self._client.get(keys.HEAD))
        if text is None:
            return None
        head = Head.decode(text)
        self.complete.set()
        self.confirmed_ms = now_ms()
        return head

    async def _read_changes(self, block: int | None) -> None:
        reply = await self._client.xread({keys.CHANGES: self._position}, count=1000, block=block)
        for _, entries in cast("list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]", reply or []):
            for entry_id, fields in entries:
                self._position = entry_id.decode()
                for key in fields[b"keys"].decode().split():
                    self._cache.invalidate(key)
                if self._head is not None:
                    self._head = Head(self._head.store_id, int(fields[b"v"]))
