"""Nothing that a stream can hold stops the counter: it becomes a dead letter and its neighbours are counted."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import zstandard

from onebyone.clock import HOUR_MS
from onebyone.contracts import batches, events, keys
from onebyone.counter import counting, terms
from onebyone.report_store import tables
from tests.counter.harness import Harness, batch, event
from tests.support.payloads import members, unpacked
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio

BAD_RECORDS: dict[str, tuple[dict[str, Any] | bytes, str]] = {
    "empty line": (b"", "bad_json"),
    "not json": (b"{", "bad_json"),
    "end of an object": (b'"x":1}', "bad_json"),
    "two objects": (b'"x":1},{"x":1', "bad_json"),
    "object in braces": (b'{"x":1}', "bad_json"),
    "lone surrogate": (b'"ua":"\\ud800"', "bad_json"),
    "invalid utf-8": (b'"ua":"\xff"', "bad_json"),
    "no version": (b'"v":null', "unknown_version"),
    "newer version": (event(v=events.VERSION + 1), "unknown_version"),
    "missing field": (event(tracker_id=None), "bad_event"),
    "id beyond 64 bits": (
        members(event()).replace(b'"site_id":5', b'"site_id":123456789012345678901'),
        "bad_event",
    ),
    "negative id": (event(member_id=-1), "bad_event"),
    "true as id": (event(member_id=True), "bad_event"),
    "time after year 9999": (event(ts=2**62), "bad_event"),
    "other kind": (event(kind="view"), "bad_event"),
    "ancost as text": (event(ancost="1"), "bad_event"),
    "ancost too large": (event(ancost=10**12), "bad_event"),
    "terms as list": (event(terms=[]), "bad_event"),
    "price as text": (event(terms={"pricing_type": "cpm", "revenue_value": "5"}), "bad_terms"),
    "price as object": (event(terms={"cost_cpm": {}}), "bad_terms"),
    "price beyond 64 bits": (event(terms={"cost_cpm": 2**63}), "bad_terms"),
    "negative price": (event(terms={"cost_cpm": -1}), "bad_terms"),
    "share over one": (event(terms={"revshare": 1_000_001}), "bad_terms"),
    "pricing type with NUL": (event(terms={"pricing_type": "c\0m"}), "bad_terms"),
    "pricing type as list": (event(terms={"pricing_type": ["cpm"]}), "bad_terms"),
    "user id as text": (event(kind="clk", user_id="x"), "bad_event"),
    "own id beyond 63 bits": (event(id=2**63), "bad_event"),
    "deep nesting": (b'"x":' + b"[" * 5000 + b"]" * 5000, "bad_json"),
}


async def test_invalid_records_do_not_affect_their_neighbours(each_harness: Harness) -> None:
    records = [part for record, _ in BAD_RECORDS.values() for part in (event(), record)]
    each_harness.send(1, *records)
    await each_harness.drain()
    assert await each_harness.counted() == len(BAD_RECORDS)
    letters = await each_harness.rows(tables.dead_letters)
    assert {letter.line: (letter.raw, letter.reason) for letter in letters} == {
        2 * index + 1: (unpacked(record), reason) for index, (record, reason) in enumerate(BAD_RECORDS.values())
    }
    assert {(letter.producer, letter.seq) for letter in letters} == {(each_harness.producer, 1)}


HOSTILE: dict[str, dict[str, Any]] = {
    "referrer with NUL": {"kind": "clk", "ref": "https://a\0b.example/"},
    "referrer as number": {"kind": "clk", "ref": 5},
    "huge referrer": {"kind": "clk", "ref": "https://" + "a" * 1_000_000},
    "host of 300 characters": {"kind": "clk", "ref": "https://" + "a." * 150 + "example/"},
    "unknown fields": {"kind": "clk", "new": {"x": [None]}},
    "long pricing type": {"kind": "clk", "terms": {"pricing_type": "x" * 1000}},
    "largest everything": {
        "kind": "clk",
        "id": 2**63 - 1,
        "tracker_id": 2**63 - 1,
        "user_id": 2**63 - 1,
        "ancost": 10**12 - 1,
        "terms": {"pricing_type": "cpc", "revenue_value": 10**15 - 1, "revshare": 1_000_000},
    },
    "opted out": {"kind": "clk", "user_id": -1},
    "receive time 0": {"ts": 0},
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_odd_but_valid_records_are_counted(each_harness: Harness, name: str) -> None:
    each_harness.send(1, event(**HOSTILE[name]))
    await each_harness.drain()
    assert await each_harness.counted() == 1
    assert await each_harness.rows(tables.dead_letters) == []


def _entries(producer: str) -> dict[str, tuple[dict[str, Any], int]]:
    """Return each entry with the number of seqs by which it advances its producer."""
    payload = batch(producer, 1).payload
    bomb = zstandard.compress(b"\n" * (batches.EVENTS_MAX + 1))
    headless = zstandard.compress(b'"kind":"imp"\n')
    beheaded = zstandard.compress(b'[1,1,1]\n"kind":"imp"\n[1,-1,1]\n')
    good = {"v": batches.FORMAT, "p": producer, "s": 1, "n": 1, "k": 1, "z": payload}
    return {
        "no batch": ({"hello": "world"}, 0),
        "unknown batch format": ({**good, "v": 0}, 1),
        "newer batch format": ({**good, "v": batches.FORMAT + 1}, 1),
        "no payload": ({name: value for name, value in good.items() if name != "z"}, 1),
        "payload that does not unpack": ({**good, "z": b"\xff\0garbage"}, 1),
        "payload without a head line": ({**good, "z": headless}, 1),
        "invalid head line": ({**good, "z": beheaded}, 1),
        "other number of events": ({**good, "n": 2}, 1),
        "bomb of lines": ({**good, "n": batches.EVENTS_MAX + 1, "z": bomb}, 1),
        "seq beyond 64 bits": ({**good, "s": 2**63}, 0),
        "seq 0": ({**good, "s": 0}, 0),
        "producer with NUL": ({**good, "p": b"\0" * 16}, 0),
        "number of 5000 digits": ({**good, "s": "1" * 5000}, 0),
    }


@pytest.mark.parametrize("name", _entries("0" * 16))
async def test_entries_that_are_not_batches_become_dead_letters(each_harness: Harness, name: str) -> None:
    entry, moved = _entries(each_harness.producer)[name]
    each_harness.client.xadd(keys.events_key(0), entry)  # type: ignore[arg-type]
    each_harness.send(moved + 1)
    await each_harness.drain()
    assert await each_harness.counted() == 1
    assert each_harness.progress() == moved + 1
    (letter,) = await each_harness.rows(tables.dead_letters)
    assert (letter.line, letter.reason) == (-1, "bad_batch")
    kept = {key.encode("latin-1"): value.encode("latin-1") for key, value in orjson.loads(letter.raw).items()}
    sent = {
        str(key).encode(): value if isinstance(value, bytes) else str(value).encode() for key, value in entry.items()
    }
    assert kept == sent


async def test_rows_that_the_store_refuses_become_dead_letters(
    each_harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = {"sqlite": "\ud800", "postgresql": "\0"}[each_harness.engine.dialect.name]
    row = terms.click_row

    def unstorable(one: Any) -> dict[str, Any]:
        return row(one) | ({"site_domain": bad} if one["tracker_id"] == 13 else {})

    monkeypatch.setattr(counting, "click_row", unstorable)
    for seq in range(1, 10):
        each_harness.send(seq, event(kind="clk", tracker_id=13 if seq == 5 else 7))
    await each_harness.drain()
    assert await each_harness.counted() == 8
    (letter,) = await each_harness.rows(tables.dead_letters)
    assert (letter.seq, letter.reason) == (5, "unstorable")


async def test_an_older_version_is_upgraded_step_by_step(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    def from_zero(record: dict[str, Any]) -> dict[str, Any]:
        return {**record, "kind": {"i": "imp", "c": "clk"}[record["kind"]]}

    monkeypatch.setitem(events.UPGRADES, 0, from_zero)
    harness.send(1, event(v=0, kind="c"), event(v=0, kind="i"), event(v=0, kind="x"), event(v=events.VERSION + 1))
    await harness.drain()
    assert sorted(row.kind for row in await harness.rows(tables.hourly)) == ["clk", "imp"]
    assert [row.reason for row in await harness.rows(tables.dead_letters)] == ["uncountable", "unknown_version"]


async def test_no_sum_overflows(each_harness: Harness) -> None:
    dearest = event(kind="clk", ancost=999_999_999_999, terms={"pricing_type": "cpc", "revenue_value": 1})
    each_harness.send(1, *[dearest] * 3000)
    for seq in range(2, 5):
        each_harness.send(seq, *[dearest] * 3000)
        await each_harness.drain()
    (row,) = await each_harness.rows(tables.hourly)
    assert row.events == 12_000
    assert row.cost_units * 10**9 + row.cost_nanos == 12_000 * 999_999_999_999_000
    assert row.revenue_units * 10**9 + row.revenue_nanos == 12_000 * 1000
    assert 0 <= row.cost_nanos < 10**9


async def test_hours_are_those_of_the_receive_time(harness: Harness) -> None:
    start = 1_700_000_000_000 // HOUR_MS * HOUR_MS
    harness.send(1, *(event(ts=ts) for ts in (start - 1, start, start + HOUR_MS - 1, start + HOUR_MS)))
    await harness.drain()
    found = {row.hour: row.events for row in await harness.rows(tables.hourly)}
    assert found == {start // 1000 - 3600: 1, start // 1000: 2, start // 1000 + 3600: 1}


async def test_click_rows(harness: Harness) -> None:
    told = {"pricing_type": "cpc", "revenue_value": 5, "revshare": 6, "commission_cpm": 7, "commission_revshare": 8}
    sent = event(kind="clk", ancost=9, user_id=-1, ref="https://WWW.Example.com:8443/x?y", terms=told)
    harness.send(1, sent, event())
    await harness.drain()
    (row,) = await harness.rows(tables.clicks)
    expected = {name: sent[name] for name in ("ts", "tracker_id", *events.AS_OF)}
    expected |= {"event_id": sent["id"], "ancost": 9, "user_id": -1, "site_domain": "www.example.com", **told}
    assert {name: getattr(row, name) for name in expected} == expected


async def test_a_large_backlog_is_split_into_transactions(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "EVENTS_PER_COMMIT", 10)
    for seq in range(1, 11):
        harness.send(seq, *[event()] * 7)
    await harness.drain()
    assert await harness.counted() == 70
    await eventually(lambda: harness.progress() == 10, "published")
