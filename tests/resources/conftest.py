"""Fixtures for the tests of objects."""

from __future__ import annotations

import pytest

from tests.resources.guaranteed import seamless
from tests.support.api_harness import Harness, Json


@pytest.fixture
async def order(api: Harness) -> Json:
    """Create a seamless insertion order with an open end."""
    fields = {"name": "Advertiser", "timezone": "UTC", "use_insertion_orders": True}
    advertiser = await api.create("advertiser", fields)
    return await api.create("insertion-order", seamless(), advertiser_id=advertiser["id"])
