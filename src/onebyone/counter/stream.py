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
from onebyone.counter.counting import Entry, parse_id

READ_BYTES = 4 * 1024 * 1024
"""What one read should bring; XREAD can only be told a number of entries, so their usual size is followed."""
READ_ENTRIES = 1000

# The check and the trim are one step: on a server that was replaced in between, old ids mean uncounted entries.
_TRIM = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return -1 end
return redis.call('XTRIM', KEYS[1], 'MINID', '=', ARGV[2])
"""

# A counter that was held up behind its commit must not take back what another has published since.
_PUBLISH = """
for at = 1, #ARGV, 2 do
    local told = tonumber(redis.call('HGET', KEYS[1], ARGV[at]))
    if not told or told < tonumber(ARGV[at + 1]) then redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1]) end
end
"""


class Refused(Exception):
    """A stream server on which the promise cannot be kept; the text says why."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one read found."""

    incarnation: bytes
    entries: list[Entry]


class Stream:
    """The stream of one shard; every method raises `redis_client.Unavailable` when the server is away."""

    def __init__(self, client: redis.asyncio.Redis, shard: int) -> None:
        self._client: Any = client
        self._shard = shard
        self._entry_bytes = READ_BYTES // 64

    async def read(self, after: tuple[int, int], most: int, block_ms: int) -> Reading:
        """The next entries after a position, and the server's incarnation just before."""
        count = max(1, min(most, READ_BYTES // self._entry_bytes))
        pipe = self._client.pipeline(transaction=False)
        pipe.set(keys.incarnation(self._shard), secrets.token_hex(8), nx=True)
        pipe.get(keys.incarnation(self._shard))
        pipe.xread({keys.events(self._shard): f"{after[0]}-{after[1]}"}, count=count, block=block_ms)
        # A server whose memory is full refuses the first command, and must be read all the same to be emptied.
        made, incarnation, streams = await pipe.execute(raise_on_error=False)
        for reply in (incarnation, streams, made):
            if isinstance(reply, Exception) and not isinstance(reply, OutOfMemoryError):
                raise reply
        entries = cast("list[Entry]", streams[0][1]) if streams else []
        if entries:
            size = sum(len(value) for _, fields in entries for value in fields.values())
            self._entry_bytes = max(1, size // len(entries))
        return Reading(incarnation or b"", entries)

    async def last_id(self) -> tuple[int, int]:
        """The newest id that the stream ever gave out; (0, 0) when there is no stream."""
        try:
            about = await self._client.xinfo_stream(keys.events(self._shard))
        except ResponseError as error:
            if "no such key" in str(error):
                return (0, 0)
            raise
        return parse_id(about["last-generated-id"])

    async def publish(self, progress: Mapping[str, int]) -> None:
        """Tells edges what is committed; never less than they were told before."""
        if progress:
            await self._client.eval(_PUBLISH, 1, keys.progress(self._shard), *chain.from_iterable(progress.items()))

    async def withdraw(self, producers: Iterable[str]) -> None:
        """Takes back what edges were told of these; unlike a lower value, a full server takes this too."""
        await self._client.hdel(keys.progress(self._shard), *producers)

    async def published(self) -> dict[str, int]:
        """What edges were told is committed."""
        told = await self._client.hgetall(keys.progress(self._shard))
        return {name.decode(): int(seq) for name, seq in told.items() if batches.is_producer(name) and seq.isdigit()}

    async def ask_again(self, producers: list[str]) -> None:
        """Asks edges to ship again from their progress on."""
        token = secrets.token_hex(8)
        await self._client.hset(keys.resend(self._shard), mapping=dict.fromkeys(producers, token))

    async def trim(self, committed: tuple[int, int], incarnation: bytes) -> int:
        """Removes entries up to a committed position; how many entries are left."""
        names = (keys.events(self._shard), keys.incarnation(self._shard))
        pipe = self._client.pipeline(transaction=False)
        pipe.eval(_TRIM, 2, *names, incarnation, f"{committed[0]}-{committed[1] + 1}")
        pipe.xlen(keys.events(self._shard))
        return int((await pipe.execute())[1])


async def check_policy(client: redis.asyncio.Redis) -> None:
    """Raises `Refused` when the server may evict events. A server that does not tell is believed."""
    try:
        told = await cast("Any", client).config_get("maxmemory-policy")
    except ResponseError:
        return
    policy = told.get("maxmemory-policy", told.get(b"maxmemory-policy", b"noeviction"))
    if policy not in (b"noeviction", "noeviction"):
        name = policy.decode() if isinstance(policy, bytes) else policy
        raise Refused(f"the stream server's maxmemory-policy is {name}; it must be noeviction, or events get lost")
