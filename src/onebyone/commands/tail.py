"""`onebyone tail`: events as they pass through the streams, one JSON line each, for people and other consumers."""

from __future__ import annotations

import os
import sys
from typing import NoReturn, cast

import orjson
import redis

from onebyone.commands.options import write_error
from onebyone.contracts import batches, events, keys
from onebyone.runtime import embedded_server
from onebyone.runtime.redis_client import Unavailable, connect_blocking
from onebyone.settings import Settings

WAIT_MS = 1000
"""How long one read waits for new entries; a lost connection is noticed after this time."""

Reply = list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]


def tail_events(settings: Settings) -> int:
    """Print events until interrupted or until the reader of standard output goes away; return the exit code."""
    url = settings.stream_url or embedded_server.read_url(settings.data_dir)
    if not url:
        write_error(f"no `onebyone serve` runs on {settings.data_dir}; ONEBYONE_STREAM_URL can name another server")
        return 1
    try:
        _follow(connect_blocking(url), settings.shards)
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # The interpreter flushes standard output once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Unavailable as error:
        write_error(f"the stream server does not answer: {error}")
        return 1


def _follow(client: redis.Redis, shards: int) -> NoReturn:
    """Print what is added to the streams of `shards` shards from now on."""
    positions = {
        keys.events_key(shard).encode(): _newest_entry(client, keys.events_key(shard)) for shard in range(shards)
    }
    while True:
        reply = cast(Reply, client.xread(positions, block=WAIT_MS) or [])  # type: ignore[arg-type]
        for stream, entries in reply:
            for entry_id, fields in entries:
                positions[stream] = entry_id
                for line in _event_lines(fields):
                    sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()


def _event_lines(fields: dict[bytes, bytes]) -> list[bytes]:
    """Return the events of one stream entry as JSON lines; report an unreadable batch on standard error."""
    try:
        return [orjson.dumps(events.decode_event(line)) for line in batches.unpack(batches.from_entry(fields).payload)]
    except (batches.BatchError, events.EventError) as error:
        write_error(f"unreadable batch: {error}")
        return []


def _newest_entry(client: redis.Redis, stream: str) -> bytes:
    newest = cast(list[tuple[bytes, object]], client.xrevrange(stream, count=1))
    return newest[0][0] if newest else b"0-0"
