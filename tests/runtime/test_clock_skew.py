"""How far clocks are apart, and which of them is off."""

from __future__ import annotations

import pytest

from onebyone.runtime.clock_skew import (
    ClockReport,
    decode_reports,
    in_words,
    offset_seconds,
    offsets_by_host,
    skew_seconds,
)

DAY = 86_400.0


@pytest.mark.parametrize(
    ("there", "offset"),
    [(100.5, 0.0), (100.0, 0.0), (101.0, 0.0), (98.0, 2.0), (104.0, -3.0), (100 + DAY, 1 - DAY), (100 - DAY, DAY)],
)
def test_the_time_that_a_comparison_takes_is_no_offset(there: float, offset: float) -> None:
    assert offset_seconds(100.0, there, 101.0) == offset


@pytest.mark.parametrize(
    ("mine", "others", "skew"),
    [
        (0.0, [], 0.0),
        (DAY, [], DAY),
        (-40 * DAY, [], -40 * DAY),
        (0.0, [0.1], 0.0),
        (DAY, [0.0, 0.1], DAY),
        (0.1, [0.0, DAY], 0.1),
        (DAY, [DAY, DAY], 0.0),
        (0.0, [DAY, DAY], -DAY),
        (DAY, [DAY, 0.0], DAY),
        (0.0, [DAY, DAY, 0.0], 0.0),
        (0.0, [DAY], 0.0),
    ],
    ids=[
        "alone and right",
        "alone and ahead of the server",
        "alone and slow",
        "two that agree with the server",
        "one ahead of all",
        "another one is ahead",
        "the server is off",
        "the server and this clock against two",
        "two against two",
        "three against two",
        "this clock and the server agree against another",
    ],
)
def test_most_clocks_are_right(mine: float, others: list[float], skew: float) -> None:
    assert skew_seconds(mine, others) == pytest.approx(skew, abs=0.2)


def test_reports_are_read_and_old_ones_ignored() -> None:
    reports = [
        ClockReport("edge@a/1", 0.5, 1000.0),
        ClockReport("edge@a/2", 0.7, 1001.0),
        ClockReport("counter@b:8/3", -DAY, 1002.0),
        ClockReport("edge@c/4", 9.0, 900.0),
    ]
    fields = {report.name.encode(): report.encode().encode() for report in reports}
    assert (
        decode_reports(
            fields
            | {b"edge@d/1": b"rubbish", b"edge@d/2": b"", b"edge@d/3": b"1 2 3", b"edge@d/4": b"inf 1", b"e": b"1 nan"}
        )
        == reports
    )
    assert offsets_by_host(reports, 1003.0) == {"a": pytest.approx(0.6), "b:8": -DAY}


def test_words() -> None:
    assert (in_words(86_400.04), in_words(-0.51)) == ("86400.0 s fast", "0.5 s slow")
