"""SQL for the local time of an hour: what the clocks in the time zone of a report show at an hour of UTC."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import BigInteger, ColumnElement, case, literal_column

from onebyone.reports.time_ranges import DAY, HOUR, TimeRange


def local_hour_sql(hour: ColumnElement[int], time_range: TimeRange) -> ColumnElement[int]:
    """Return SQL that turns a UTC hour into its wall time: seconds since 1970-01-01 00:00 on a clock in the zone."""
    offsets = _offset_periods(time_range)
    steps = [(hour < until, hour + literal_column(str(offset), BigInteger)) for until, offset in offsets[:-1]]
    last = hour + literal_column(str(offsets[-1][1]), BigInteger)
    return case(*steps, else_=last) if steps else last


def local_month_sql(hour: ColumnElement[int], time_range: TimeRange) -> ColumnElement[int]:
    """Return SQL that turns a UTC hour into its wall month: year * 100 + month."""
    first = datetime.fromtimestamp(time_range.start, time_range.zone)
    month = datetime(first.year, first.month, 1)
    steps = []
    number = month.year * 100 + month.month
    while True:
        month = (month + timedelta(days=31)).replace(day=1)
        until = int(month.replace(tzinfo=time_range.zone).timestamp())
        if until >= time_range.end:
            break
        steps.append((hour < until, literal_column(str(number), BigInteger)))
        number = month.year * 100 + month.month
    last = literal_column(str(number), BigInteger)
    return case(*steps, else_=last) if steps else last + literal_column("0", BigInteger)


def _offset_periods(time_range: TimeRange) -> list[tuple[int, int]]:
    """Return (end of the period, UTC offset in seconds) for each period of one offset within the range."""
    periods = []
    offset = time_range.utc_offset(time_range.start)
    for day in range(time_range.start, time_range.end, DAY):
        until = min(day + DAY, time_range.end)
        if time_range.utc_offset(until - 1) == offset:
            continue
        for hour in range(day, until, HOUR):
            if time_range.utc_offset(hour) != offset:
                periods.append((hour, offset))
                offset = time_range.utc_offset(hour)
    return [*periods, (time_range.end, offset)]
