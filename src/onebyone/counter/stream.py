"""One shard's stream and the keys around it, on the stream server."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

import redis.asyncio
from redis.exceptions import OutOfMemoryError, ResponseError

from onebyone.contracts import batches, keys
from onebyone.counter.counting import Entry, parse_stream_id

READ_BYTES = 4 * 1024 * 1024
"""Target size of one read, so that a backlog does not fill memory. XREAD takes a number of entries, so the counter
tracks their average size."""
READ_ENTRIES = 1000
"""Entries of one read at most: their events fit one transaction of `EVENTS_PER_COMMIT`."""

# Check and trim in one step: on a server that was replaced in between, the same ids name uncounted entries.
_TRIM = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return -1 end
return redis.call('XTRIM', KEYS[1], 'MINID', '=', ARGV[2])
"""

# A counter that was delayed after its commit must not lower what another one has published since.
_PUBLISH = """
for at = 1, #ARGV, 2 do
    local known = tonumber(redis.call('HGET', KEYS[1], ARGV[at]))
    if not known or known < tonumber(ARGV[at + 1]) then redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1]) end
end
"""


class Misconfigured(Exception):
    """Settings or a stream server with which counting can never work; the text says why."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of one read: the server's incarnation, and the entries in stream order."""

    incarnation: bytes
    entries: list[Entry]


class Stream:
    """The stream of one shard. Every method raises `redis_client.Unavailable` when the server is unreachable."""

    def __init__(self, client: redis.asyncio.Redis, shard: int) -> None:
        self._client: Any = client
        self._shard = shard
        self._entry_bytes = READ_BYTES // 64

    async def read(self, after: tuple[int, int], most: int, block_ms: int) -> Reading:
        """Return the next entries after a position, and the incarnation of the server just before the read."""
        count = max(1, min(most, READ_BYTES // self._entry_bytes))
        pipe = self._client.pipeline(transaction=False)
        pipe.set(keys.incarnation_key(self._shard), secrets.token_hex(8), nx=True)
        pipe.get(keys.incarnation_key(self._shard))
        pipe.xread({keys.events_key(self._shard): f"{after[0]}-{after[1]}"}, count=count, block=block_ms)
        # A server whose memory is full refuses the first command, and must still be read to be emptied.
        created, incarnation, streams = await pipe.execute(raise_on_error=False)
        for reply in (incarnation, streams, created):
            if isinstance(reply, Exception) and not isinstance(reply, OutOfMemoryError):
                raise reply
        entries = cast("list[Entry]", streams[0][1]) if streams else []
        if entries:
            size = sum(len(value) for _, fields in entries for value in fields.values())
            self._entry_bytes = max(1, size // len(entries))
        return Reading(incarnation or b"", entries)

    async def last_id(self) -> tuple[int, int]:
        """Return the newest id that the stream ever assigned; (0, 0) when there is no stream."""
        try:
            info = await self._client.xinfo_stream(keys.events_key(self._shard))
        except ResponseError as error:
            if "no such key" in str(error):
                return (0, 0)
            raise
        return parse_stream_id(info["last-generated-id"])

    async def publish_progress(self, progress: Mapping[str, int]) -> None:
        """Tell edges what is committed; never lower what was published before."""
        if progress:
            await self._client.eval(_PUBLISH, 1, keys.progress_key(self._shard), *chain.from_iterable(progress.items()))

    async def withdraw_progress(self, producers: Iterable[str]) -> None:
        """Delete the published progress of these producers; unlike a lower value, a full server accepts a deletion."""
        await self._client.hdel(keys.progress_key(self._shard), *producers)

    async def forget(self, producers: Iterable[str]) -> None:
        """Delete all that the server keeps of these producers besides their entries."""
        names = list(producers)
        await self._client.hdel(keys.progress_key(self._shard), *names)
        await self._client.hdel(keys.resend_key(self._shard), *names)

    async def published_progress(self) -> dict[str, int]:
        """Return the last seq published as committed, by producer."""
        published = await self._client.hgetall(keys.progress_key(self._shard))
        return {
            name.decode(): int(seq) for name, seq in published.items() if batches.is_producer(name) and seq.isdigit()
        }

    async def request_resend(self, producers: list[str]) -> None:
        """Ask edges to ship these producers again from their progress on."""
        token = secrets.token_hex(8)
        await self._client.hset(keys.resend_key(self._shard), mapping=dict.fromkeys(producers, token))

    async def trim(self, committed: tuple[int, int], incarnation: bytes) -> int:
        """Remove entries up to a committed position; return how many entries remain."""
        names = (keys.events_key(self._shard), keys.incarnation_key(self._shard))
        pipe = self._client.pipeline(transaction=False)
        pipe.eval(_TRIM, 2, *names, incarnation, f"{committed[0]}-{committed[1] + 1}")
        pipe.xlen(keys.events_key(self._shard))
        return int((await pipe.execute())[1])


async def refuse_eviction(client: redis.asyncio.Redis) -> None:
    """Raise `Misconfigured` when the server may evict events; a server that hides its configuration is trusted."""
    try:
        config = await cast("Any", client).config_get("maxmemory-policy")
    except ResponseError:
        return
    policy = config.get("maxmemory-policy", config.get(b"maxmemory-policy", b"noeviction"))
    if policy not in (b"noeviction", "noeviction"):
        name = policy.decode() if isinstance(policy, bytes) else policy
        raise Misconfigured(f"the stream server's maxmemory-policy is {name}; it must be noeviction or events get lost")
