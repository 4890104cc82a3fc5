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
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

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
_HEAD_LINE = re.compile(rb"(0|[1-9][0-9]{0,18}),(0|[1-9][0-9]{0,18}),(0|[1-9][0-9]{0,18})\]")
"""A head line after its `[`. Numbers beyond 63 bits are refused where each event is checked (`events.decode_event`)."""

_PRODUCER = re.compile(r"[0-9a-f]{16}")
# A small table and window compress payloads of this size equally well and evict less of the processor's cache.
_compressor = zstandard.ZstdCompressor(
    compression_params=zstandard.ZstdCompressionParameters.from_level(1, hash_log=12, window_log=16)
)


class _Decompressor(threading.local):
    """The decompressor of each thread: to create one for each payload takes longer than to decompress most of them."""

    def __init__(self) -> None:
        self.decompress = zstandard.ZstdDecompressor().decompress


_decompressor = _Decompressor()


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


class Group(NamedTuple):
    """Events of one payload that share a head line; in a payload of format 1, all of its records."""

    version: int | None
    """The version of their records; None: the lines are whole records (format 1)."""
    first_id: int
    ts: int
    lines: list[bytes]
    """One for each event: the members of its record that the head line does not hold, without braces."""

    def record(self, index: int) -> bytes:
        """Return the JSON object of the event with this index."""
        if self.version is None:
            return self.lines[index]
        return b'{"v":%d,"id":%d,"ts":%d,%b}' % (self.version, self.first_id + index, self.ts, self.lines[index])

    def records(self) -> list[bytes]:
        """Return the JSON objects of all events."""
        return [self.record(index) for index in range(len(self.lines))]


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
    return [record for group in unpack_groups(payload) for record in group.records()]


def unpack_groups(payload: bytes) -> list[Group]:
    """Return the groups of a payload. Raise `BatchError` if it is malformed."""
    try:
        size = zstandard.frame_content_size(payload)
        if not 0 <= size <= PAYLOAD_MAX_BYTES:
            raise BatchError(f"payload claims {size} bytes")
        text = _decompressor.decompress(payload)
    except zstandard.ZstdError as error:
        raise BatchError(f"payload does not unpack: {error}") from None
    if len(text) > EVENTS_MAX and text.count(b"\n") > EVENTS_MAX:
        raise BatchError("payload has too many lines")
    if text[:1] == b"{":
        # A journal row carries no format and ships under the current one: the payload itself tells.
        return [Group(None, 0, 0, text.split(b"\n")[:-1])]
    if text[:1] != b"[" or text[-1:] != b"\n":
        raise BatchError("payload is not a head line and whole lines")
    # A line that begins with `[` is a head line, so what follows one up to the next is a group.
    return [_read_group(part.split(b"\n")) for part in text[1:-1].split(b"\n[")]


def _read_group(lines: list[bytes]) -> Group:
    """Return the group of a head line, without its `[`, and the lines that follow it."""
    match = _HEAD_LINE.fullmatch(lines[0])
    if match is None:
        raise BatchError(f"not a head line: {b'[' + lines[0][:79]!r}")
    version, first_id, ts = map(int, match.groups())
    del lines[0]
    return Group(version, first_id, ts, lines)


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


def read_entry(fields: Mapping[bytes, bytes]) -> tuple[Batch, list[Group]]:
    """Return the batch of a stream entry and the groups of its events.

    Raise `BatchError` for a malformed entry, or if the events are not as many as it declares.
    """
    batch = from_entry(fields)
    groups = unpack_groups(batch.payload)
    present = sum(len(group.lines) for group in groups)
    if present != batch.events:
        raise BatchError(f"{present} events instead of {batch.events}")
    return batch, groups


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
