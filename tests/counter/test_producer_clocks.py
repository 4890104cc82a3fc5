"""The counter notices producers whose event times are off, and counts them."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from onebyone.counter import metrics, producer_clocks
from onebyone.counter.producer_clocks import ProducerClocks

ARRIVED = 1_790_000_000_000
DAY = 86_400_000
ENTRY = b"%d-7" % ARRIVED


def fields(sent: int, written: int, producer: bytes = b"a" * 16) -> dict[bytes, bytes]:
    return {b"p": producer, b"t": b"%d" % sent, b"w": b"%d" % written}


@pytest.mark.parametrize(
    ("sent", "written", "words"),
    [
        (ARRIVED - 20, ARRIVED - 70, ""),
        (ARRIVED + 1900, ARRIVED + 1850, ""),
        (ARRIVED - 20, ARRIVED - DAY, ""),
        (ARRIVED - 6_900, ARRIVED - 7000, ""),
        (ARRIVED + 2100, ARRIVED + 2000, "2.1 s fast"),
        (ARRIVED + DAY, ARRIVED + DAY, "86400.0 s fast"),
        (ARRIVED - 40 * DAY, ARRIVED - 40 * DAY, "3456000.0 s slow"),
        (ARRIVED - 20, ARRIVED + DAY, "86400.0 s fast"),
    ],
    ids=[
        "right",
        "within the limit",
        "a backlog of a day",
        "slow to arrive",
        "past the limit",
        "a day ahead",
        "40 days slow",
        "ahead when it was written, right since",
    ],
)
def test_clocks_of_producers(sent: int, written: int, words: str) -> None:
    before = metrics.SKEWED_BATCHES._value.get()
    with capture_logs() as lines:
        clocks = ProducerClocks(2.0)
        for _ in range(3):
            clocks.note_entries([(ENTRY, fields(sent, written))])
    assert [line["clock"] for line in lines] == ([f"{words} compared with the stream server's"] if words else [])
    assert metrics.SKEWED_BATCHES._value.get() - before == (3 if words else 0)


@pytest.mark.parametrize("entry", [{}, {b"t": b"x", b"w": b"1"}, {b"t": b"%d" % (ARRIVED + DAY)}])
def test_entries_that_do_not_tell(entry: dict[bytes, bytes]) -> None:
    with capture_logs() as lines:
        ProducerClocks(2.0).note_entries([(ENTRY, entry)])
    assert lines == []


def test_lines_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer_clocks, "PRODUCERS_LOGGED", 3)
    with capture_logs() as lines:
        clocks = ProducerClocks(2.0)
        for number in range(9):
            clocks.note_entries([(ENTRY, fields(ARRIVED + DAY, ARRIVED, b"%d" % number))])
    assert len(lines) == 3
