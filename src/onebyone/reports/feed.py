"""Feeds: one row an event, never aggregated, read and written a page at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.report_store.tables import clicks
from onebyone.reports.columns import FEEDS, FeedColumn
from onebyone.reports.csv_file import CsvWriter, escape_formula
from onebyone.reports.failure import ReportFailure
from onebyone.reports.report_request import ReportRequest
from onebyone.runtime import sql

PAGE_ROWS = 5000
"""Rows of one read: few enough for a short transaction and a few megabytes of memory."""
ROWS_MAX = 2_000_000
"""Rows of one feed: with every column some 300 MB of text, compressed a tenth of that, which is held in memory until it
is stored in one row."""


async def write_feed(report_store: AsyncEngine, member_id: int, request: ReportRequest, writer: CsvWriter) -> None:
    """Write the rows of a feed, oldest first. Raise `ReportFailure` for more than `ROWS_MAX`."""
    columns = [FEEDS[request.report_type][name] for name in request.columns]
    fields = [clicks.c[name] for name in dict.fromkeys(column.field for column in columns)]
    to_skip, to_write = request.offset, request.limit if request.limit is not None else ROWS_MAX + 1
    last_read = (request.time_range.start * 1000, 0)
    while to_write > 0:
        query = (
            select(clicks.c.ts.label("at"), clicks.c.id.label("number"), *fields)
            .where(clicks.c.member_id == member_id, clicks.c.ts < request.time_range.end * 1000)
            .where(clicks.c.ts >= last_read[0], tuple_(clicks.c.ts, clicks.c.id) > tuple_(*last_read))
            .order_by(clicks.c.ts, clicks.c.id)
            .limit(PAGE_ROWS)
        )
        async with sql.reading(report_store) as connection:
            page = (await connection.execute(query)).mappings().all()
        rows = page[to_skip : to_skip + to_write]
        to_skip = max(0, to_skip - len(page))
        to_write -= len(rows)
        await asyncio.to_thread(_write_rows, columns, rows, request, writer)
        if writer.row_count > ROWS_MAX:
            raise ReportFailure(f"the feed has more than {ROWS_MAX} rows; ask for less time")
        if len(page) < PAGE_ROWS:
            return
        last_read = (page[-1]["at"], page[-1]["number"])


def _write_rows(columns: Sequence[FeedColumn], rows: Sequence[Any], request: ReportRequest, writer: CsvWriter) -> None:
    writer.write_rows([[_format_cell(column, row[column.field], request) for column in columns] for row in rows])


def _format_cell(column: FeedColumn, value: Any, request: ReportRequest) -> str:
    if column.zoned:
        moment = value // 1000
        value = moment + request.time_range.utc_offset(moment)
    text = str(column.format(value))
    if column.type == "string":
        return escape_formula(text)
    return text.replace(".", ",") if request.decimal_comma and column.type in ("money", "double") else text
