"""`insertion-order`: an agreement with an advertiser that bounds the dates and budgets of its line items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.config_store import tables
from onebyone.reports.delivery_stats import DeliveryStats
from onebyone.resources import labels
from onebyone.resources.entities import budget, guaranteed_delivery
from onebyone.resources.entities.political_content import (
    PoliticalContent,
    check_political_content,
    show_political_content,
)
from onebyone.resources.entity import Carried, Entity, Reference, Values
from onebyone.resources.fields import (
    Amount,
    Body,
    Boolean,
    Currency,
    Integer,
    LongText,
    Name,
    ObjectId,
    State,
    StrictCode,
    Text255,
    Timestamp,
    TimeZone,
    as_list,
)
from onebyone.resources.inherited_defaults import inherit_zone_and_currency
from onebyone.resources.ordered_links import OrderedLinks
from onebyone.resources.unit_of_work import UnitOfWork

ORDERS = OrderedLinks(tables.line_item_insertion_order, "line_item_id", "insertion_order_id")
_OWN_DATES_AND_BUDGETS = ("start_date", "end_date", *budget.BUDGETS, *budget.PACING, "lifetime_pacing_span")
_OTHER_BUDGETS = {"revenue": budget.IMPRESSIONS, "impression": budget.REVENUE, "flexible": ()}


class InsertionOrderLabel(labels.Labelled):
    id: Annotated[Integer, AfterValidator(labels.label_id_validator("insertion_order"))]


class BrokerFee(Body):
    broker_id: ObjectId
    payment_type: Literal["cpm", "revshare"]
    value: Amount
    description: Text255 | None = None


class _InsertionOrderBody(Body):
    name: Name
    code: StrictCode = None
    state: State = "active"
    start_date: Timestamp | None = None
    end_date: Timestamp | None = None
    timezone: TimeZone | None = None
    currency: Currency | None = None
    comments: LongText | None = None
    billing_code: Text255 | None = None
    budget_type: Literal["revenue", "impression", "flexible"] = "flexible"
    profile_id: ObjectId | None = None
    viewability_standard_provider: Literal["iab"] = "iab"
    is_running_political_ads: Boolean = False
    labels: Annotated[list[InsertionOrderLabel], Field(max_length=10), BeforeValidator(as_list)] | None = None
    broker_fees: Annotated[list[BrokerFee], Field(max_length=100), BeforeValidator(as_list)] | None = None
    budget_intervals: budget.Intervals | None = None
    political_content: PoliticalContent | None = None
    lifetime_pacing: Boolean | None = None
    lifetime_budget: Amount | None = None
    lifetime_budget_imps: budget.Count | None = None
    enable_pacing: Boolean | None = None
    lifetime_pacing_span: budget.Count | None = None
    daily_budget: Amount | None = None
    daily_budget_imps: budget.Count | None = None
    lifetime_pacing_pct: budget.Pace | None = None


class InsertionOrder(Entity):
    """An insertion order. It is seamless when budget intervals hold its dates and budgets."""

    service = "insertion-order"
    table = tables.insertion_order
    body = _InsertionOrderBody
    parent = Reference("advertiser_id", "advertiser_id", tables.advertiser)
    code_owner = "advertiser_id"
    immutable = frozenset({"currency"})
    partial = frozenset({"budget_intervals", "labels", "political_content"})
    discriminators = frozenset({"budget_type", "budget_intervals", "timezone"})
    fixed = {  # noqa: RUF012
        "allow_safety_pacing": ("boolean", None),
        "tpas_details": ("object", None),
        "spend_protection_pixels": ("array of objects", None),
    }
    derived = {  # noqa: RUF012
        "remaining_days": "int",
        "total_days": "int",
        "line_items": "array of objects",
        "labels": "array of objects",
        "object_stats": "object",
        "budget_intervals": "array of objects",
        "political_content": "object",
    }
    output = (
        *("id", "name", "code", "state", "advertiser_id", "profile_id", "member_id", "start_date", "end_date"),
        *("remaining_days", "total_days", "last_modified", "timezone", "currency", "comments", "budget_type"),
        *("billing_code", "viewability_standard_provider", "is_running_political_ads", "line_items"),
        *("spend_protection_pixels", "labels", "broker_fees", "budget_intervals", "tpas_details", "political_content"),
        *("lifetime_pacing", "lifetime_budget", "lifetime_budget_imps", "enable_pacing", "lifetime_pacing_span"),
        *("allow_safety_pacing", "daily_budget", "daily_budget_imps", "lifetime_pacing_pct", "object_stats"),
    )
    optional = {"object_stats": "object_stats"}  # noqa: RUF012

    async def check(self, work: UnitOfWork, values: Values, stored: Values | None, owners: Values) -> None:
        advertiser = await work.find_row(tables.advertiser, owners["advertiser_id"]) if owners else None
        if advertiser is None:
            return
        if stored is None and not advertiser["doc"].get("use_insertion_orders", False):
            work.conflict("advertiser_id", "use_insertion_orders of the advertiser must be true")
        inherit_zone_and_currency(values, advertiser)
        budget.refuse_beside_intervals(work, values, _OWN_DATES_AND_BUDGETS)
        await budget.check_intervals(work, values, stored)
        _check_pacing(work, values)
        await check_political_content(work, values, stored, advertiser)
        places = enumerate(values["budget_intervals"] or ())
        for path, holder in [("", values), *((f"budget_intervals.{place}.", interval) for place, interval in places)]:
            for field in _OTHER_BUDGETS[values["budget_type"]]:
                if holder[field] is not None:
                    work.conflict(f"{path}{field}", f"must be null with budget_type {values['budget_type']}")
        if stored is not None and not work.faults:
            await guaranteed_delivery.check_order_of_lines(work, {**stored, **values, "id": stored["id"]}, ORDERS)

    async def modified(self, work: UnitOfWork, before: Values, after: Values, carried: Carried) -> None:
        if before["state"] != after["state"]:
            await work.republish_trackers("line_item_id", select(ORDERS.owner).where(ORDERS.target == before["id"]))

    async def delete(self, work: UnitOfWork, ids: Sequence[int]) -> None:
        lines = select(ORDERS.owner).where(ORDERS.target.in_(ids))
        docs = select(tables.line_item.c.doc).where(tables.line_item.c.id.in_(lines))
        if any(doc.get("line_item_subtype") for doc in await work.connection.scalars(docs)):
            work.conflict("id", "a guaranteed delivery line item still uses the insertion order")
            return
        await work.republish_trackers("line_item_id", lines)
        await super().delete(work, ids)

    async def related(self, connection: AsyncConnection, rows: Sequence[Values]) -> dict[int, Values]:
        of_order = await ORDERS.owners_of(connection, [row["id"] for row in rows])
        lines = {line for order_lines in of_order.values() for line in order_lines}
        columns = tables.line_item.c
        query = select(columns.id, columns.name, columns.code, columns.state, columns.doc).where(columns.id.in_(lines))
        named = {row.id: _show_line(row) for row in (await connection.execute(query) if lines else ())}
        return {
            row["id"]: {
                "line_items": [named[line] for line in of_order.get(row["id"], ())] or None,
                "budget_intervals": show_order_intervals(row),
                "labels": labels.with_label_names(row["doc"].get("labels")),
                "political_content": show_political_content(row["doc"].get("political_content")),
                "object_stats": count_by_state(Counter(named[line]["state"] for line in of_order.get(row["id"], ()))),
            }
            for row in rows
        }

    async def delivery_fields(
        self, delivery_stats: DeliveryStats, rows: Sequence[Values], keys: Sequence[str]
    ) -> Mapping[int, Values]:
        return {row["id"]: budget.remaining_days(row["doc"], delivery_stats.now_ms) for row in rows}


def _check_pacing(work: UnitOfWork, values: Values) -> None:
    """Check what an own `lifetime_pacing` needs and excludes, as documented."""
    if not values["lifetime_pacing"]:
        return
    if values["lifetime_budget"] is None and not values["lifetime_budget_imps"]:
        work.invalid("lifetime_pacing", "needs lifetime_budget or lifetime_budget_imps")
    for field in ("start_date", "end_date"):
        if values[field] is None:
            work.invalid(field, "required with lifetime_pacing")
    for field in ("daily_budget", "daily_budget_imps"):
        if values[field] is not None:
            work.invalid(field, "must be null with lifetime_pacing")
    if values["enable_pacing"] is False:
        work.invalid("enable_pacing", "cannot be false with lifetime_pacing")


def _show_line(row: Any) -> Values:
    return {
        "id": row.id,
        "line_item_type": row.doc.get("line_item_type") or "standard_v1",
        **{name: getattr(row, name) for name in ("name", "code", "state")},
        **{name: row.doc.get(name) for name in ("start_date", "end_date", "timezone")},
    }


def count_by_state(counted: Mapping[str, int]) -> Values:
    """Return an element of `object_stats`: the number of objects in total and by state."""
    return {"total": sum(counted.values()), **{state: counted.get(state, 0) for state in ("active", "inactive")}}


def show_order_intervals(row: Values) -> list[Values] | None:
    """Return the budget intervals of an order's row as they are shown."""
    return budget.show_intervals(
        row["doc"].get("budget_intervals"), row["id"], "insertion_order", row["doc"]["timezone"]
    )


def show_order_in_line_item(row: Values) -> Values:
    """Return an order as it is shown inside a line item."""
    doc = row["doc"]
    return {
        **{name: row[name] for name in ("id", "state", "code", "name", "advertiser_id")},
        **{name: doc.get(name) for name in ("start_date", "end_date", "timezone")},
        "last_modified": row["last_modified"],
        "currency": doc.get("currency"),
        "budget_type": doc.get("budget_type"),
        "budget_intervals": show_order_intervals(row),
        "political_content": show_political_content(doc.get("political_content")),
    }
