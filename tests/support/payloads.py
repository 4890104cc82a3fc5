"""Payloads of event records, for tests that have records and not what an edge writes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from onebyone.contracts import batches


def payload(records: Iterable[dict[str, Any] | bytes]) -> bytes:
    """A payload of which each event is a group of its own; bytes are taken as an event's line as they are."""
    lines: list[bytes] = []
    for record in records:
        if isinstance(record, bytes):
            lines += batches.head_line(0, 0), record
        else:
            lines += batches.head_line(record["id"], record["ts"], record["v"]), members(record)
    return batches.pack(lines)


def members(record: dict[str, Any]) -> bytes:
    """The line of an event: what it does not share with its group."""
    return orjson.dumps({name: value for name, value in record.items() if name not in ("v", "id", "ts")})[1:-1]


def unpacked(record: dict[str, Any] | bytes) -> bytes:
    """What `payload` is unpacked to."""
    return b'{"v":1,"id":0,"ts":0,%b}' % record if isinstance(record, bytes) else orjson.dumps(record)
