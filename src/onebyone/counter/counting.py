"""The counter's hot path, top to bottom: stream entries -> events -> sums by hour -> rows of one SQL transaction.

Every entry is counted, skipped as a duplicate, left for a resend, or kept as a dead letter, whatever it holds: nothing
here raises for its content. A batch is counted when its `seq` follows the last counted `seq` of its producer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from sqlalchemy import BigInteger, Insert, Table, insert, literal_column
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.clock import HOUR_MS, now_ms
from onebyone.contracts import batches, events
from onebyone.contracts.batches import Group
from onebyone.contracts.events import NET, EventError, Upgrade
from onebyone.contracts.money import NANOS
from onebyone.contracts.pricing import booked_revenue, media_cost
from onebyone.counter.classification.remembered_classes import RememberedClasses
from onebyone.counter.event_parts import KEY, EventParts, key_of
from onebyone.counter.shared_sums import TS_END, Hours, SharedSums, add_sums
from onebyone.counter.statements import insert_new
from onebyone.counter.terms import check_terms, click_row
from onebyone.report_store import tables

Entry = tuple[bytes, Mapping[bytes, bytes]]

EVENTS_PER_COMMIT = 100_000
"""Close a transaction after the batch that reaches this: bounds memory and the time that the event loop is blocked."""
ROW_EVENTS = 4
"""A row to write, or an event that is parsed, takes the time and memory of so many more events that are not."""
RID_MAX = 16
"""Characters of a `rid`, as edges write it."""
RAW_MAX = 16 * 1024 * 1024
"""Bytes kept of a dead letter; the largest valid batch is an eighth of it."""

_PARTS = EventParts()
"""What this process knows of event lines, for all shards."""


class BatchTotals:
    """What some stream entries of one shard add to the report store."""

    def __init__(
        self,
        shard: int,
        upgrades: Mapping[int, Upgrade] = events.UPGRADES,
        parts: EventParts = _PARTS,
        classes: RememberedClasses | None = None,
    ) -> None:
        """Count nothing yet. Without `classes`, no event is classified."""
        self.shard = shard
        self.position = (0, 0)
        self.entries = 0
        self.events = 0
        self.duplicates = 0
        self.progress: dict[str, int] = {}
        """Producer -> last counted `seq`, for every producer of these entries."""
        self.seen: dict[str, int] = {}
        self.proxy_requests: list[tuple[str, int]] = []
        """The `rid` and `ts` of the events that have one."""
        self.clicks: list[dict[str, Any]] = []
        self.archive: list[dict[str, Any]] = []
        self.dead_letters: list[dict[str, Any]] = []
        self.holes: list[dict[str, Any]] = []
        self.now = now_ms()
        self._upgrades = upgrades
        self._classes = classes
        self._shared = SharedSums(parts, self.clicks, self.proxy_requests, classes)
        self._parsed = 0
        self._hours: Hours = {}
        self._kinds: Counter[str] = Counter()

    @property
    def hours(self) -> Hours:
        """(Hour, values of `event_parts.KEY`, reason) -> events, cost and revenue, the money in nanos."""
        self._shared.move_to(self._hours, self._kinds)
        return self._hours

    @property
    def kinds(self) -> Counter[str]:
        """The number of records counted, by kind."""
        self._shared.move_to(self._hours, self._kinds)
        return self._kinds

    def add(self, entries: Iterable[Entry], committed: Mapping[str, int]) -> None:
        """Count entries in stream order until the transaction is large enough; set `position` to the last one taken."""
        for entry_id, fields in entries:
            self.position = parse_stream_id(entry_id)
            self.entries += 1
            self._add_entry(fields, committed)
            rows = self._parsed + len(self.clicks) + len(self.dead_letters) + self._shared.heads
            if self.events + ROW_EVENTS * rows >= EVENTS_PER_COMMIT:
                return

    def dead_letter_entry(self, entry: Entry, committed: Mapping[str, int], detail: str) -> None:
        """Keep one entry as a dead letter without reading it: the store refuses its rows."""
        self.position = parse_stream_id(entry[0])
        self.entries = 1
        name = batch_name(entry[1])
        if name is None or self._is_next(*name, committed):
            self._dead_letter(-1, name, "unstorable", detail, _raw(entry[1]))

    def waiting(self) -> list[str]:
        """Return the producers of which an earlier batch is missing."""
        return [producer for producer, seen in self.seen.items() if seen > self.progress[producer]]

    def _add_entry(self, fields: Mapping[bytes, bytes], committed: Mapping[str, int]) -> None:
        # An unreadable batch advances its producer too, or the later batches of the producer would wait forever.
        name = batch_name(fields)
        if name is not None and not self._is_next(*name, committed):
            return
        try:
            batch, groups = batches.read_entry(fields)
        except batches.BatchError as error:
            self._dead_letter(-1, name, "bad_batch", str(error), _raw(fields))
            return
        self.count_batch(batch, groups)

    def count_batch(self, batch: batches.Batch, groups: list[Group]) -> None:
        """Count the next batch of its producer, and keep it for the archive."""
        first_ts = self._count_groups(groups, (batch.producer, batch.seq, batch.kept_from))
        self.archive.append(
            {
                "producer": batch.producer,
                "seq": batch.seq,
                "shard": self.shard,
                "first_ts": first_ts,
                "events": batch.events,
                "payload": batch.payload,
            }
        )

    def _is_next(self, producer: str, seq: int, kept_from: int, committed: Mapping[str, int]) -> bool:
        last = self.progress.setdefault(producer, committed.get(producer, 0))
        self.seen[producer] = max(seq, self.seen.get(producer, 0))
        if seq <= last:
            self.duplicates += 1
            return False
        if seq > last + 1 and kept_from > last + 1:
            gone = min(kept_from, seq) - 1
            self.holes.append({"producer": producer, "from_seq": last + 1, "to_seq": gone, "found_at": self.now})
            self.progress[producer] = last = gone
        if seq > last + 1:
            return False
        self.progress[producer] = seq
        return True

    def _count_groups(self, groups: list[Group], name: tuple[str, int, int]) -> int:
        """Count groups without parsing them, and all lines for which that cannot be done as `count` does."""
        first, start = TS_END, 0
        for group in groups:
            others = self._shared.add(group)
            counted = len(group.lines) - len(others)
            if counted:
                self.events += counted
                first = min(first, group.ts)
            for index in others:
                first = min(first, self._count_record(start + index, group.record(index), name))
            start += len(group.lines)
        return first if first < TS_END else self.now

    def count(self, lines: list[bytes], name: tuple[str, int, int] | None) -> int:
        """Count the records of the batch `name`; return the least `ts`. Uncountable records become dead letters."""
        first = min((self._count_record(index, line, name) for index, line in enumerate(lines)), default=TS_END)
        return first if first < TS_END else self.now

    def _count_record(self, index: int, line: bytes, name: tuple[str, int, int] | None) -> int:
        """Count one record and return its `ts`; if that is impossible keep it as a dead letter and return `TS_END`."""
        try:
            event = events.decode_event(line, self._upgrades)
            ts = event["ts"]
            if ts >= TS_END:
                raise EventError("bad_event", f"ts is {ts}")
            if "terms" in event:
                check_terms(event)
            cost, revenue, click = 0, 0, None
            reason = event.get("reason") or NET
            if reason == NET:
                cost = media_cost(event)
                revenue = booked_revenue(event)
                click = click_row(event) if event["kind"] == "clk" else None
                if self._classes is not None:
                    reason = self._classes.classify_event(event)
            requests = event.get("requests") or 1
            key = (ts // HOUR_MS, key_of(event), reason)
        except EventError as error:
            self._dead_letter(index, name, error.reason, str(error), line)
            return TS_END
        except Exception as error:
            self._dead_letter(index, name, "uncountable", repr(error), line)
            return TS_END
        add_sums(self._hours, key, requests, cost, revenue)
        if click is not None:
            self.clicks.append(click)
        self.events += 1
        self._parsed += 1
        self._kinds[event["kind"]] += 1
        if "rid" in event:
            self.proxy_requests.append((str(event["rid"])[:RID_MAX], ts))
        return ts

    def _dead_letter(self, line: int, name: tuple[str, int, int] | None, reason: str, detail: str, raw: bytes) -> None:
        self.dead_letters.append(
            {
                "shard": self.shard,
                "stream_ms": self.position[0],
                "stream_seq": self.position[1],
                "line": line,
                "producer": name[0] if name else None,
                "seq": name[1] if name else None,
                "reason": reason,
                "detail": detail[:500].encode("ascii", "backslashreplace").decode().replace("\0", "\\x00"),
                "raw": raw[:RAW_MAX],
                "found_at": self.now,
            }
        )


def parse_stream_id(entry_id: bytes) -> tuple[int, int]:
    """Return a stream id as two integers that compare in stream order."""
    ms, _, seq = entry_id.partition(b"-")
    return int(ms), int(seq)


def batch_name(fields: Mapping[bytes, bytes]) -> tuple[str, int, int] | None:
    """Return producer, seq and lowest kept seq of an entry, even if its other fields are unreadable; else None."""
    try:
        named = {b"v": b"%d" % batches.FORMAT, b"p": fields[b"p"], b"s": fields[b"s"], b"n": b"0", b"z": b""}
        batch = batches.from_entry({**named, b"k": fields.get(b"k", b"1")})
    except (KeyError, batches.BatchError):
        return None
    return batch.producer, batch.seq, batch.kept_from


def _raw(fields: Mapping[bytes, bytes]) -> bytes:
    return orjson.dumps({key.decode("latin-1"): value[:RAW_MAX].decode("latin-1") for key, value in fields.items()})


def _upsert(dialect: Any) -> Insert:
    """Build the statement that adds sums to the row of their hour; nanos carry into units, so neither overflows."""
    hourly = tables.hourly.c
    statement = dialect.insert(tables.hourly)
    new = statement.excluded
    one = literal_column(str(NANOS), BigInteger)
    cost = hourly.cost_nanos + new.cost_nanos
    revenue = hourly.revenue_nanos + new.revenue_nanos
    changed = {
        "events": hourly.events + new.events,
        "cost_units": hourly.cost_units + new.cost_units + cost // one,
        "cost_nanos": cost % one,
        "revenue_units": hourly.revenue_units + new.revenue_units + revenue // one,
        "revenue_nanos": revenue % one,
    }
    upsert: Insert = statement.on_conflict_do_update(index_elements=list(tables.hourly.primary_key), set_=changed)
    return upsert


_UPSERTS = {"sqlite": _upsert(sqlite), "postgresql": _upsert(postgresql)}


async def write_totals(connection: AsyncConnection, totals: BatchTotals) -> None:
    """Write the rows of `totals` in the transaction of `connection`."""
    dialect = connection.dialect.name
    if totals.hours:
        # In key order: two shards that add to the same rows must lock them in the same order.
        await connection.execute(_UPSERTS[dialect], [_hourly(key, sums) for key, sums in sorted(totals.hours.items())])
    if totals.archive:
        await connection.execute(insert_new(dialect, tables.archive), totals.archive)
    lists: tuple[tuple[Table, list[dict[str, Any]]], ...] = (
        (tables.clicks, totals.clicks),
        (tables.dead_letters, totals.dead_letters),
        (tables.holes, totals.holes),
    )
    for table, rows in lists:
        if rows:
            await connection.execute(insert(table), rows)


def _hourly(key: tuple[int, tuple[Any, ...], str], sums: list[int]) -> dict[str, Any]:
    row = dict(zip(KEY, key[1], strict=True))
    row["reason"] = key[2]
    row["hour"] = key[0] * (HOUR_MS // 1000)
    row["events"], cost, revenue = sums
    row["cost_units"], row["cost_nanos"] = divmod(cost, NANOS)
    row["revenue_units"], row["revenue_nanos"] = divmod(revenue, NANOS)
    return row
