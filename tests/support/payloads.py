"""Batch payloads made of event records, for tests that start from records rather than from an edge."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from onebyone.contracts import batches, events


def payload(records: Iterable[dict[str, Any] | bytes]) -> bytes:
    """Return a payload in which each event is a group of its own; bytes are used as an event line unchanged."""
    lines: list[bytes] = []
    for record in records:
        if isinstance(record, bytes):
            lines += batches.head_line(0, 0), record
        else:
            lines += batches.head_line(record["id"], record["ts"], record["v"]), members(record)
    return batches.pack(lines)


def members(record: dict[str, Any]) -> bytes:
    """Return the line of an event: the members that its group's head line does not hold."""
    return orjson.dumps({name: value for name, value in record.items() if name not in ("v", "id", "ts")})[1:-1]


def unpacked(record: dict[str, Any] | bytes) -> bytes:
    """Return the line to which `batches.unpack` expands a record of `payload`."""
    if isinstance(record, bytes):
        return b'{"v":%d,"id":0,"ts":0,%b}' % (events.VERSION, record)
    return orjson.dumps(record)
