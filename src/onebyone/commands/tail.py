"""Prints events as they pass through the streams, one JSON line each, for people and for other consumers."""

from __future__ import annotations

import os
import sys
from typing import NoReturn, cast

import orjson
import redis

from onebyone.contracts import batches, events, keys
from onebyone.runtime import embedded_server
from onebyone.runtime.redis_client import Unavailable, connect_blocking
from onebyone.settings import Settings

WAIT_MS = 1000
"""How long one read waits for news."""

Reply = list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]


def run(settings: Settings) -> int:
    """Prints until it is interrupted or its reader goes away; the exit code."""
    url = settings.stream_url or embedded_server.read_url(settings.data_dir)
    if not url:
        print(
            f"onebyone: no `onebyone serve` runs on {settings.data_dir}; ONEBYONE_STREAM_URL can name another server",
            file=sys.stderr,
        )
        return 1
    try:
        follow(connect_blocking(url), settings.shards)
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # The interpreter flushes standard output once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Unavailable as error:
        print(f"onebyone: the stream server does not answer: {error}", file=sys.stderr)
        return 1


def follow(client: redis.Redis, shards: int) -> NoReturn:
    """Prints what is added to the streams of `shards` shards from now on."""
    positions = {keys.events(shard).encode(): _newest(client, keys.events(shard)) for shard in range(shards)}
    while True:
        reply = cast(Reply, client.xread(positions, block=WAIT_MS) or [])  # type: ignore[arg-type]
        for stream, entries in reply:
            for entry_id, fields in entries:
                positions[stream] = entry_id
                for line in lines(fields):
                    sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()


def lines(fields: dict[bytes, bytes]) -> list[bytes]:
    """The events of one stream entry as JSON lines; what cannot be read is named on standard error."""
    try:
        return [orjson.dumps(events.decode(line)) for line in batches.unpack(batches.from_entry(fields).payload)]
    except (batches.BatchError, events.EventError) as error:
        print(f"onebyone: unreadable batch: {error}", file=sys.stderr)
        return []


def _newest(client: redis.Redis, stream: str) -> bytes:
    newest = cast(list[tuple[bytes, object]], client.xrevrange(stream, count=1))
    return newest[0][0] if newest else b"0-0"
