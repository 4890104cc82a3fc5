"""The report engine by itself: typed arguments and a caller in, plain results and domain errors out."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from onebyone.auth.caller import Caller
from onebyone.errors import Forbidden, NotFound, Refused
from onebyone.reports.service import ReportFile, ReportService
from tests.reports.report_harness import ReportHarness

pytestmark = pytest.mark.anyio

FIELDS = {"report_type": "network_analytics", "columns": ["advertiser_id", "imps"], "report_interval": "lifetime"}
FEED = {"report_type": "clicktrackers", "columns": ["tracker_id"]}


def caller(limit: tuple[str, int] | None = None) -> Caller:
    """Return the first user of member 1."""
    return Caller(user_id=1, username="admin", name="A", member_id=1, timezone="UTC", limit=limit)


@pytest.fixture
async def service(reports: ReportHarness) -> ReportService:
    """Return the service on the stores of the harness, with three events."""
    await reports.record({"advertiser_id": 2}, {"advertiser_id": 3}, {"advertiser_id": 3})
    context = reports.api.context
    return ReportService(context.store, context.report_store, context.clock)


async def test_order_status_and_file(service: ReportService) -> None:
    report_id = await service.order(caller(), FIELDS, {})
    file = await service.fetch_file(caller(), report_id)
    assert file == ReportFile("network_analytics", False, b"advertiser_id,imps\r\n2,1\r\n3,2\r\n")
    run = await service.status(caller(), report_id)
    assert (run.status, run.row_count, run.size) == ("ready", 2, len(file.content))


async def test_limited_caller(service: ReportService) -> None:
    limited = caller(("advertiser_id", 2))
    file = await service.fetch_file(limited, await service.order(limited, FIELDS, {}))
    assert file.content == b"advertiser_id,imps\r\n2,1\r\n"
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    feed = {**FEED, "start_date": today, "end_date": f"{today} 01:00:00"}
    with pytest.raises(Forbidden):
        await service.order(limited, feed, {})


async def test_all_faults_at_once(service: ReportService) -> None:
    with pytest.raises(Refused) as refused:
        await service.order(caller(), {"columns": [], "format": "pdf"}, {})
    assert [fault.path for fault in refused.value.faults] == ["report_type", "format", "report_interval"]


async def test_unknown_report(service: ReportService) -> None:
    with pytest.raises(NotFound):
        await service.status(caller(), "0" * 32)


async def test_stop_ends_reports(service: ReportService) -> None:
    report_id = await service.order(caller(), FIELDS, {})
    await service.stop()
    await asyncio.sleep(0)
    assert (await service.status(caller(), report_id)).status == "ready"
