"""Dates as callers write them: `2026-03-01`, `2026-03-01 10:00:00`, `2026-03-01T10:00:00.000Z`, `...+02:00`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

_DATE = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    # A plus is a blank of a query string that was encoded twice.
    r"(?:[ Tt+]([0-9]{2}:[0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?"
    # A blank before the offset is a plus that a query string has decoded.
    r"(?: ?([Zz]|UTC)| ?([ +-])([0-9]{2}):?([0-9]{2})?)?)?",
    re.ASCII,
)


def parse_date(text: str) -> datetime:
    """Return the date and time of a text; aware if the text names a time zone, otherwise naive.

    Raise `ValueError` for anything else, and for parts of a second, which nothing here keeps.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError("must be YYYY-MM-DD HH:MM:SS")
    day, clock, seconds, fraction, utc, sign, hours, minutes = match.groups()
    try:
        moment = datetime.strptime(f"{day} {clock or '00:00'}:{seconds or '00'}", "%Y-%m-%d %H:%M:%S")
        if utc is not None:
            moment = moment.replace(tzinfo=UTC)
        elif sign is not None:
            offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
            moment = moment.replace(tzinfo=timezone(-offset if sign == "-" else offset))
            moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be YYYY-MM-DD HH:MM:SS") from None
    if fraction is not None and fraction.strip("0"):
        raise ValueError("must be a whole second")
    return moment
