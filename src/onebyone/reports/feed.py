"""Feeds: one row an event, never aggregated, read and written a page at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, tuple_

from onebyone.report_store.tables import clicks
from onebyone.reports.columns import FEEDS, FeedColumn
from onebyone.reports.failure import ReportFailure
from onebyone.reports.report_request import Demand
from onebyone.reports.table import TableWriter, guard
from onebyone.reports.time_ranges import Window
from onebyone.resources.context import ApiContext
from onebyone.runtime import sql

PAGE_ROWS = 5000
ROWS_MAX = 2_000_000


async def write(context: ApiContext, member_id: int, demand: Demand, table: TableWriter) -> None:
    """Writes the rows of a feed, oldest first. Raises `ReportFailure`."""
    columns = [FEEDS[demand.report_type][name] for name in demand.columns]
    fields = [clicks.c[name] for name in dict.fromkeys(column.field for column in columns)]
    skipped, left = demand.offset, demand.limit if demand.limit is not None else ROWS_MAX + 1
    last = (demand.window.start * 1000, 0)
    while left > 0:
        query = (
            select(clicks.c.ts.label("at"), clicks.c.id.label("number"), *fields)
            .where(clicks.c.member_id == member_id, clicks.c.ts < demand.window.end * 1000)
            .where(clicks.c.ts >= last[0], tuple_(clicks.c.ts, clicks.c.id) > tuple_(*last))
            .order_by(clicks.c.ts, clicks.c.id)
            .limit(PAGE_ROWS)
        )
        async with sql.reading(context.report_store) as connection:
            rows = (await connection.execute(query)).mappings().all()
        taken = rows[skipped : skipped + left]
        skipped = max(0, skipped - len(rows))
        left -= len(taken)
        await asyncio.to_thread(_write, columns, taken, demand, table)
        if table.row_count > ROWS_MAX:
            raise ReportFailure(f"the feed has more than {ROWS_MAX} rows; ask for less time")
        if len(rows) < PAGE_ROWS:
            return
        last = (rows[-1]["at"], rows[-1]["number"])


def _write(columns: Sequence[FeedColumn], rows: Sequence[Any], demand: Demand, table: TableWriter) -> None:
    table.rows([[_cell(column, row[column.field], demand) for column in columns] for row in rows])


def _cell(column: FeedColumn, value: Any, demand: Demand) -> str:
    text = str(column.show(_local(value // 1000, demand.window) if column.zoned else value))
    if column.type == "string":
        return guard(text)
    return text.replace(".", ",") if demand.decimal_comma and column.type in ("money", "double") else text


def _local(moment: int, window: Window) -> int:
    return moment + window.offset(moment)
