"""Fixtures of the report tests."""

from __future__ import annotations

import pytest

from tests.api.harness import Harness
from tests.api.reports.desk import Desk


@pytest.fixture
async def desk(api: Harness, store_url: str) -> Desk:
    """A desk of member 1 with an empty report store."""
    made = Desk(api)
    await made.open(store_url)
    return made
