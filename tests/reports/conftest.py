"""Fixtures of the report tests."""

from __future__ import annotations

import pytest

from tests.reports.report_harness import ReportHarness
from tests.support.api_harness import Harness


@pytest.fixture
async def reports(api: Harness, store_url: str) -> ReportHarness:
    """Return the reports of member 1, on an empty report store."""
    harness = ReportHarness(api)
    await harness.create_report_store(store_url)
    return harness
