"""A batch: one group commit, one journal row, one stream entry, counted once.

A batch is named by (`producer`, `seq`). A producer is one life of one edge process: 16 hex digits, random, new at each
start, always on the same shard. `seq` starts at 1 and has no holes.

Stream entry (all values bytes): `v` format version (2), `p` producer, `s` seq, `n` number of events, `k` the lowest
seq that the producer's journal still holds when it ships, `z` the payload. A counter that misses seqs below `k` knows
that they will never arrive.

A payload is one zstd frame of lines, each ended by a newline. Events that were received together form a group: a head
line `[v,id,ts]` with the version of their records, the id of the first event and the time of receipt, then one line per
event with the remaining members of its record, without braces. Ids count up from the first. A payload of format 1,
which a journal may still hold, is whole records, one per line.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import zstandard

from onebyone.contracts import events

FORMAT = 2
_FORMATS = (1, FORMAT)
"""The format that edges write, and those that counters read: journals and streams may still hold the older one."""
PAYLOAD_MAX_BYTES = 64 * 1024 * 1024
"""Refuse a payload that claims to unpack to more as a decompression bomb; edges stay three orders below."""

EVENTS_MAX = 1_000_000
"""Refuse a payload with more lines as a bomb: each empty line would cost a dead letter."""

_HEAD = b"[%d,%d,%d]"
_HEAD_LINE = re.compile(rb"\[(0|[1-9][0-9]{0,18}),(0|[1-9][0-9]{0,18}),(0|[1-9][0-9]{0,18})\]")
"""Numbers beyond 63 bits are refused where each event is checked (`events.decode_event`)."""

_PRODUCER = re.compile(r"[0-9a-f]{16}")
# A small table and window compress payloads of this size equally well and evict less of the processor's cache.
_compressor = zstandard.ZstdCompressor(
    compression_params=zstandard.ZstdCompressionParameters.from_level(1, hash_log=12, window_log=16)
)


class BatchError(ValueError):
    """A stream entry that is not a batch; the text says why."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch as it travels. `payload` is compressed."""

    producer: str
    seq: int
    events: int
    payload: bytes
    kept_from: int = 1


def new_producer() -> str:
    """Return a random producer id: 16 hex digits."""
    return secrets.token_hex(8)


def is_producer(name: bytes) -> bool:
    """Return whether these bytes can be a producer id."""
    return bool(re.fullmatch(rb"[0-9a-f]{16}", name))


def shard_of(producer: str, shards: int) -> int:
    """Return the shard that a producer writes to for its whole life."""
    return int(producer, 16) % shards


def head_line(first_id: int, ts: int, version: int = events.VERSION) -> bytes:
    """Return the head line of a group, without its newline: the id of its first event, and the time of receipt (ms)."""
    return _HEAD % (version, first_id, ts)


def pack(lines: list[bytes]) -> bytes:
    """Compress groups (lines without their newline) into a payload. Not thread-safe: all calls share a compressor."""
    return _compressor.compress(b"\n".join(lines) + b"\n")


def unpack(payload: bytes) -> list[bytes]:
    """Return the events of a payload, each the JSON object of its record. Raise `BatchError` if it is malformed."""
    try:
        size = zstandard.frame_content_size(payload)
        if not 0 <= size <= PAYLOAD_MAX_BYTES:
            raise BatchError(f"payload claims {size} bytes")
        text = zstandard.ZstdDecompressor().decompress(payload)
    except zstandard.ZstdError as error:
        raise BatchError(f"payload does not unpack: {error}") from None
    if text.count(b"\n") > EVENTS_MAX:
        raise BatchError("payload has too many lines")
    if text[:1] == b"{":
        # A journal row carries no format and ships under the current one: the payload itself tells.
        return text.split(b"\n")[:-1]
    if text[:1] != b"[" or text[-1:] != b"\n":
        raise BatchError("payload is not a head line and whole lines")
    lines: list[bytes] = []
    record, event_id = b"", 0
    for line in text[:-1].split(b"\n"):
        if line[:1] == b"[":
            record, event_id = _read_head(line)
        else:
            lines.append(record % (event_id, line))
            event_id += 1
    return lines


def _read_head(line: bytes) -> tuple[bytes, int]:
    """Return a bytes format that turns (id, line) into a record of this group, and the id of its first event."""
    match = _HEAD_LINE.fullmatch(line)
    if match is None:
        raise BatchError(f"not a head line: {line[:80]!r}")
    return b'{"v":%b,"id":%%d,"ts":%b,%%b}' % match.group(1, 3), int(match[2])


def to_entry(batch: Batch, written_ms: int = 0, sent_ms: int = 0) -> dict[str, str | int | bytes]:
    """Return the fields of a stream entry, for XADD: with the times of the edge's clock, unless they are not known."""
    times = {"w": written_ms, "t": sent_ms} if sent_ms else {}
    return {
        "v": FORMAT,
        "p": batch.producer,
        "s": batch.seq,
        "n": batch.events,
        "k": batch.kept_from,
        **times,
        "z": batch.payload,
    }


def read_entry(fields: Mapping[bytes, bytes]) -> tuple[Batch, list[bytes]]:
    """Return the batch of a stream entry and its event lines.

    Raise `BatchError` for a malformed entry, or if the lines are not as many as it declares.
    """
    batch = from_entry(fields)
    lines = unpack(batch.payload)
    if len(lines) != batch.events:
        raise BatchError(f"{len(lines)} events instead of {batch.events}")
    return batch, lines


def from_entry(fields: Mapping[bytes, bytes]) -> Batch:
    """Return the batch of a stream entry as XREAD yields it. Raise `BatchError` for a malformed one."""
    try:
        version = int(fields[b"v"])
        if version not in _FORMATS:
            raise BatchError(f"unknown batch format {version}")
        batch = Batch(
            producer=fields[b"p"].decode("ascii"),
            seq=int(fields[b"s"]),
            events=int(fields[b"n"]),
            payload=fields[b"z"],
            kept_from=int(fields[b"k"]),
        )
    except (KeyError, ValueError) as error:
        if isinstance(error, BatchError):
            raise
        raise BatchError(f"not a batch: {error!r}") from None
    if not _PRODUCER.fullmatch(batch.producer) or not 0 < batch.seq < 2**63:
        raise BatchError(f"bad name ({batch.producer!r}, {batch.seq})")
    return batch
