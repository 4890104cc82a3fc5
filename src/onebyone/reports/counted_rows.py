"""The rows of the hourly sums that count: those in the documented columns of reports and in the runs of line items."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_

from onebyone.contracts.traffic_classes import COUNTED_REASONS
from onebyone.report_store.tables import hourly


def counted_rows(member_id: int) -> ColumnElement[bool]:
    """Return the condition for the member's rows without a reason of an edge: net events and classified ones."""
    return and_(hourly.c.member_id == member_id, hourly.c.reason.in_(COUNTED_REASONS))
