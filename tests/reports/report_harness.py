"""Puts events into the report store as the counter does, and orders reports as callers do."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from onebyone.contracts import batches
from onebyone.counter.counting import BatchTotals
from onebyone.counter.ledger import Ledger
from onebyone.report_store import schema
from tests.counter.harness import batch, event
from tests.support.api_harness import Client, Harness, Json


def epoch_ms(text: str) -> int:
    """Return the epoch milliseconds of a UTC time `YYYY-MM-DD HH:MM:SS`."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@dataclass
class ReportHarness:
    """Reports of one member."""

    api: Harness

    async def create_report_store(self, url: str) -> None:
        """Create the tables of the report store in the database at `url`."""
        await schema.upgrade(url)

    async def record(self, *changes: Json) -> list[Json]:
        """Count one event for each set of fields and return the events."""
        records = [event(**change) for change in changes]
        sent = batch(batches.new_producer(), 1, *records)
        fields = {
            name.encode(): value if isinstance(value, bytes) else str(value).encode()
            for name, value in batches.to_entry(sent).items()
        }
        ledger, totals = Ledger(self.api.context.report_store, 0), BatchTotals(0)
        await ledger.load()
        await ledger.load_progress([sent.producer])
        totals.add([(b"1-1", fields)], ledger.committed)
        await ledger.commit(totals, "")
        assert totals.dead_letters == []
        return records

    async def order(self, report: Json, client: Client | None = None, **query: object) -> Json:
        """Return the response to POST /report."""
        return await (client or self.api).call("POST", "report", {"report": report}, **query)

    async def download(self, report: Json, client: Client | None = None, **query: object) -> httpx.Response:
        """Order a report and return the response with its file."""
        response = await self.order(report, client, **query)
        assert response["status"] == "OK", response
        return await (client or self.api).send("GET", f"/report-download?id={response['report_id']}")

    async def rows(self, columns: str, client: Client | None = None, **fields: Any) -> list[list[str]]:
        """Return the rows of a network_analytics report, by default over all time in UTC, without the header."""
        report = {
            "report_type": "network_analytics",
            "columns": columns.split(),
            "timezone": "UTC",
            **({} if "start_date" in fields else {"report_interval": "lifetime"}),
            **fields,
        }
        answer = await self.download(report, client)
        assert answer.status_code == 200, answer.text
        header, *rows = list(csv.reader(io.StringIO(answer.text, newline="")))
        assert header == columns.split()
        return rows
