"""Sums of requests that reached no tracker: one line for each kind and reason, and none is lost to a full disk."""

from __future__ import annotations

import orjson
import pytest

from onebyone.contracts import events
from onebyone.counter.counting import BatchTotals
from onebyone.edge.journal.event_ids import IdAllocator
from onebyone.edge.journal.group_commit import Waiter
from onebyone.edge.tags.reasons import Reason
from onebyone.edge.untracked import UntrackedSums


class Journal:
    """Takes what is submitted, or not; `ok` is what the disk then says."""

    def __init__(self) -> None:
        self.takes = self.ok = True
        self.lines: list[bytes] = []

    def submit(self, lines: list[bytes], waiter: Waiter | None) -> bool:
        if not self.takes:
            return False
        self.lines += lines if self.ok else []
        assert waiter is not None
        waiter.on_durable(self.ok)
        return True

    @property
    def sums(self) -> dict[tuple[str, str], int]:
        """What is on disk, by kind and reason."""
        found: dict[tuple[str, str], int] = {}
        for line in self.lines:
            event = orjson.loads(b"{%b}" % line)
            key = event["kind"], event["reason"]
            found[key] = found.get(key, 0) + event["requests"]
        return found


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def sums(journal: Journal) -> UntrackedSums:
    return UntrackedSums(journal.submit)


def test_nothing_is_written_without_requests(journal: Journal, sums: UntrackedSums) -> None:
    sums.write()
    assert journal.lines == []


def test_a_flood_is_a_line_for_each_kind_and_reason(journal: Journal, sums: UntrackedSums) -> None:
    for number in range(10_000):
        sums.add("imp" if number % 3 else "clk", Reason.UNKNOWN_ID if number % 2 else Reason.BAD_ID)
    sums.write()
    assert len(journal.lines) == 4
    assert sum(journal.sums.values()) == 10_000
    sums.write()
    assert len(journal.lines) == 4


@pytest.mark.parametrize(("takes", "ok"), [(False, True), (True, False)], ids=["overload", "full disk"])
def test_what_the_journal_refuses_is_written_later(
    journal: Journal, sums: UntrackedSums, takes: bool, ok: bool
) -> None:
    journal.takes, journal.ok = takes, ok
    sums.add("imp", Reason.BAD_ID)
    sums.write()
    sums.add("imp", Reason.BAD_ID)
    assert journal.lines == []
    journal.takes = journal.ok = True
    sums.write()
    assert journal.sums == {("imp", "bad_id"): 2}


def test_the_counter_counts_a_line_as_so_many_requests_of_no_tracker(journal: Journal, sums: UntrackedSums) -> None:
    for _ in range(3):
        sums.add("clk", Reason.CONFIG)
    sums.write()
    head = IdAllocator().head_line(1)
    version, event_id, ts = orjson.loads(head)
    record = b'{"v":%d,"id":%d,"ts":%d,%b}' % (version, event_id, ts, *journal.lines)
    assert events.decode_event(record)["tracker_id"] == 0
    totals = BatchTotals(0)
    totals.count([record], None)
    assert totals.dead_letters == []
    ((_, ids, reason),) = totals.hours
    assert (set(ids) - {"clk"}, reason, *totals.hours.values()) == ({0}, "config", [3, 0, 0])
