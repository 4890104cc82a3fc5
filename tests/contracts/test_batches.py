"""Batches as they travel."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from onebyone.contracts import batches
from onebyone.contracts.batches import Batch, BatchError


def fields(**changes: bytes | None) -> dict[bytes, bytes]:
    entry = {b"v": b"2", b"p": b"00000000000000aa", b"s": b"7", b"n": b"2", b"k": b"3", b"z": b"payload"}
    for name, value in changes.items():
        if value is None:
            del entry[name.encode()]
        else:
            entry[name.encode()] = value
    return entry


def test_an_entry_is_read_as_it_was_written() -> None:
    batch = Batch("00000000000000aa", 7, 2, batches.pack([b"[1,5,9]", b'"a":1', b'"b":2']), 3)
    entry = {str(name).encode(): value if isinstance(value, bytes) else str(value).encode()
             for name, value in batches.to_entry(batch).items()}  # fmt: skip
    assert batches.from_entry(entry) == batch
    lines = [b'{"v":1,"id":5,"ts":9,"a":1}', b'{"v":1,"id":6,"ts":9,"b":2}']
    read, groups = batches.read_entry(entry)
    assert (read, [record for group in groups for record in group.records()]) == (batch, lines)
    with pytest.raises(BatchError, match="2 events instead of 3"):
        batches.read_entry({**entry, b"n": b"3"})


def test_a_head_line_has_version_first_id_and_time() -> None:
    assert batches.head_line(5, 9) == b"[2,5,9]"
    assert batches.head_line(5, 9, 2) == b"[2,5,9]"


GROUPS: dict[str, tuple[bytes, list[bytes]]] = {
    "one event": (b'[1,5,9]\n"a":1\n', [b'{"v":1,"id":5,"ts":9,"a":1}']),
    "several groups": (
        b'[1,5,9]\n"a":1\n"b":2\n[2,70,8]\n"c":3\n[1,0,0]\n"d":4\n',
        [
            b'{"v":1,"id":5,"ts":9,"a":1}',
            b'{"v":1,"id":6,"ts":9,"b":2}',
            b'{"v":2,"id":70,"ts":8,"c":3}',
            b'{"v":1,"id":0,"ts":0,"d":4}',
        ],
    ),
    "groups without events": (b'[1,5,9]\n[1,6,9]\n"a":1\n[1,7,9]\n', [b'{"v":1,"id":6,"ts":9,"a":1}']),
    "a conversion": (b'[1,5,9]\n"a":"%d%b%"\n', [b'{"v":1,"id":5,"ts":9,"a":"%d%b%"}']),
    "rubbish": (
        b'[1,5,9]\n\n}{\n "a":1\r\n{"v":1}\n\0\xff\n',
        [b'{"v":1,"id":%d,"ts":9,%b}' % one for one in enumerate((b"", b"}{", b' "a":1\r', b'{"v":1}', b"\0\xff"), 5)],
    ),
    "ids beyond 63 bits": (
        b'[1,9223372036854775807,9]\n"a":1\n"b":2\n',
        [b'{"v":1,"id":9223372036854775807,"ts":9,"a":1}', b'{"v":1,"id":9223372036854775808,"ts":9,"b":2}'],
    ),
}


@pytest.mark.parametrize("name", GROUPS)
def test_groups_are_unpacked_to_records(name: str) -> None:
    text, lines = GROUPS[name]
    assert batches.unpack(zstandard.compress(text)) == lines


NUMBERS = st.integers(0, 2**63 - 1)
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
MEMBERS = st.dictionaries(TEXT.map("x{}".format), NUMBERS | TEXT | st.lists(TEXT, max_size=2), min_size=1, max_size=3)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, st.lists(MEMBERS, max_size=4)), min_size=1, max_size=4))
def test_packing_round_trips(groups: list[tuple[int, int, int, list[dict[str, Any]]]]) -> None:
    lines: list[bytes] = []
    records: list[dict[str, Any]] = []
    for version, first, ts, several in groups:
        lines += batches.head_line(first, ts, version), *(orjson.dumps(members)[1:-1] for members in several)
        records += ({"v": version, "id": first + n, "ts": ts} | members for n, members in enumerate(several))
    assert [orjson.loads(line) for line in batches.unpack(batches.pack(lines))] == records


def test_a_payload_of_format_1_is_whole_records() -> None:
    records = [b'{"v":1,"id":5,"ts":9,"a":1}', b'{"v":1,"id":99,"ts":3,"b":2}', b"rubbish", b"[1,5,9]"]
    assert batches.unpack(batches.pack(records)) == records


@given(st.lists(st.sampled_from([b"[1,5,9]", b"[", b"]", b",", b"1", b"\n", b"\n", b'"a":1', b"}", b"{", b"%d"])))
def test_any_payload_is_refused_or_yields_one_event_per_line(parts: list[bytes]) -> None:
    text = b"".join(parts)
    try:
        lines = batches.unpack(zstandard.compress(text))
    except BatchError:
        return
    if text.startswith(b"{"):
        assert lines == text.split(b"\n")[:-1]
        return
    events = [line for line in text.split(b"\n")[:-1] if not line.startswith(b"[")]
    assert [line.partition(b',"ts":9,')[2] for line in lines] == [line + b"}" for line in events]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b'"a":1\n',
        b'\n[1,5,9]\n"a":1\n',
        b'[1,5,9]\n"a":1',
        b"[1,5,9]",
        b"[]\n",
        b"[1,5]\n",
        b"[1,5,9,9]\n",
        b"[1,5,9] \n",
        b"[1, 5,9]\n",
        b"[1,5,9\n",
        b"[1,-5,9]\n",
        b"[1,5,9.0]\n",
        b"[1,05,9]\n",
        b"[1,5,1e9]\n",
        b'["1",5,9]\n',
        b"[1,null,9]\n",
        b"[1,5,%d]\n",
        "[1,5,\u0669]\n".encode(),
        b"[1,5," + b"9" * 20 + b"]\n",
        b"[1," + b"9" * 1_000_000 + b",9]\n",
        b"[" * 1_000_000 + b"\n",
        b'[1,5,9]\n"a":1\n[1]\n"b":1\n',
        b"[1,5,9]\n" + b"\n" * batches.EVENTS_MAX,
        b"[1,5,9]\n" * (batches.EVENTS_MAX + 1),
    ],
    ids=lambda text: repr(text[:40]),
)
def test_lines_that_are_not_groups_are_refused(text: bytes) -> None:
    with pytest.raises(BatchError) as caught:
        batches.unpack(zstandard.compress(text))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "changes",
    [
        {"v": b"0"},
        {"v": b"3"},
        {"v": None},
        {"p": None},
        {"p": b"short"},
        {"s": b"0"},
        {"s": b"x"},
        {"s": b"9" * 30},
        {"z": None},
    ],
    ids=str,
)
def test_an_entry_that_is_not_a_batch_is_refused(changes: dict[str, bytes | None]) -> None:
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
