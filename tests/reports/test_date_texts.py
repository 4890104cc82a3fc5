"""Dates in the forms in which clients write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from onebyone.reports.date_texts import parse_date


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-03-01", "2026-03-01T00:00:00"),
        ("2026-03-01 10:20", "2026-03-01T10:20:00"),
        ("2026-03-01 10:20:30", "2026-03-01T10:20:30"),
        ("2026-03-01+10:20:30", "2026-03-01T10:20:30"),
        ("2026-03-01T10:20:30", "2026-03-01T10:20:30"),
        ("2026-03-01t10:20:30.000000", "2026-03-01T10:20:30"),
        ("2026-03-01T10:20Z", "2026-03-01T10:20:00+00:00"),
        ("2026-03-01T10:20:30.000Z", "2026-03-01T10:20:30+00:00"),
        ("2026-03-01 10:20:30 UTC", "2026-03-01T10:20:30+00:00"),
        ("2026-03-01 10:20:30 +0000", "2026-03-01T10:20:30+00:00"),
        ("2026-03-01T10:20:30-05:00", "2026-03-01T10:20:30-05:00"),
        ("2026-03-01T10:20:30+0530", "2026-03-01T10:20:30+05:30"),
        ("2026-03-01T10:20:30+02", "2026-03-01T10:20:30+02:00"),
        ("2026-03-01T10:20:30 02:00", "2026-03-01T10:20:30+02:00"),
    ],
)
def test_accepted_dates(text: str, iso: str) -> None:
    assert parse_date(text).isoformat() == iso


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "2026-13-01", "2026-02-30", "2026-1-1", "20260301", "01/03/2026", "1772323200"),
        *("2026-03-01Z", "2026-03-01T", "2026-03-01T10", "2026-03-01 25:00:00", "2026-03-01 10:60:00"),
        *("2026-03-01  10:00:00", "2026-03-01T10:00:00+25:00", "2026-03-01T10:00:00 EST", "2026-03-01T10:00:00z "),
        *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "２026-03-01", "2026-03-01T10:00:00+2:00"),
    ],
)
def test_refused_dates(text: str) -> None:
    with pytest.raises(ValueError, match="must be YYYY-MM-DD HH:MM:SS"):
        parse_date(text)


@pytest.mark.parametrize("text", ["2026-03-01T10:00:00.5", "2026-03-01T10:00:00.000001Z"])
def test_parts_of_a_second_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a whole second"):
        parse_date(text)


def test_a_zone_survives_the_conversion() -> None:
    assert parse_date("2026-03-01T00:30:00+02:00").astimezone(UTC) == datetime(2026, 2, 28, 22, 30, tzinfo=UTC)
