"""Batches as they travel."""

from __future__ import annotations

import pytest
import zstandard

from onebyone import batches
from onebyone.batches import Batch, BatchError


def fields(**changes: bytes | None) -> dict[bytes, bytes]:
    entry = {b"v": b"1", b"p": b"00000000000000aa", b"s": b"7", b"n": b"2", b"k": b"3", b"z": b"payload"}
    for name, value in changes.items():
        if value is None:
            del entry[name.encode()]
        else:
            entry[name.encode()] = value
    return entry


def test_an_entry_is_read_as_it_was_written() -> None:
    batch = Batch("00000000000000aa", 7, 2, batches.pack([b"a", b"b"]), 3)
    entry = {str(name).encode(): value if isinstance(value, bytes) else str(value).encode()
             for name, value in batches.to_entry(batch).items()}  # fmt: skip
    assert batches.from_entry(entry) == batch
    assert batches.unpack(batch.payload) == [b"a", b"b"]


@pytest.mark.parametrize(
    "changes",
    [{"v": b"2"}, {"v": None}, {"p": None}, {"p": b"short"}, {"s": b"0"}, {"s": b"x"}, {"s": b"9" * 30}, {"z": None}],
    ids=str,
)
def test_what_is_no_batch_is_refused(changes: dict[str, bytes | None]) -> None:
    with pytest.raises(BatchError):
        batches.from_entry(fields(**changes))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"nonsense",
        zstandard.compress(b"x" * 100)[:-3],
        zstandard.compress(b"\0" * (batches.PAYLOAD_MAX_BYTES + 1)),
    ],
    ids=["empty", "nonsense", "torn", "bomb"],
)
def test_a_payload_that_does_not_unpack_is_refused(payload: bytes) -> None:
    with pytest.raises(BatchError):
        batches.unpack(payload)


def test_a_producer_keeps_its_shard() -> None:
    producer = batches.new_producer()
    assert batches.shard_of(producer, 4) == batches.shard_of(producer, 4) in range(4)
