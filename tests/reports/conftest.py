"""Fixtures of the report tests."""

from __future__ import annotations

import pytest

from tests.reports.desk import Desk
from tests.support.api_harness import Harness


@pytest.fixture
async def desk(api: Harness, store_url: str) -> Desk:
    """A desk of member 1 with an empty report store."""
    made = Desk(api)
    await made.open(store_url)
    return made
