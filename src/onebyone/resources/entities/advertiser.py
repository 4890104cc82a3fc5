"""`advertiser`: the owner of line items and trackers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.config_store import tables
from onebyone.resources import labels
from onebyone.resources.entities import budget, thirdparty_pixel
from onebyone.resources.entities.insertion_order import count_by_state
from onebyone.resources.entities.line_item import LineItem
from onebyone.resources.entity import Carried, Entity, Values
from onebyone.resources.fields import (
    Amount,
    Body,
    Boolean,
    Code,
    Currency,
    Integer,
    Name,
    ObjectId,
    OptionalShare,
    State,
    Text20,
    Text25,
    Text50,
    Text100,
    Text255,
    TimeZone,
    as_list,
)
from onebyone.resources.inherited_defaults import inherit_zone_and_currency
from onebyone.resources.unit_of_work import UnitOfWork


class AdvertiserLabel(labels.Labelled):
    id: Annotated[Integer, AfterValidator(labels.label_id_validator("advertiser"))]


class _AdvertiserBody(Body):
    name: Name
    code: Code = None
    state: State = "active"
    timezone: TimeZone | None = None
    time_format: Literal["12-hour", "24-hour"] = "12-hour"
    default_currency: Currency | None = None
    use_insertion_orders: Boolean = False
    labels: Annotated[list[AdvertiserLabel], Field(max_length=10), BeforeValidator(as_list)] | None = None
    profile_id: ObjectId | None = None
    control_pct: OptionalShare = Decimal(0)
    remarketing_segment_id: ObjectId | None = None
    default_brand_id: budget.Count | None = None
    competitive_brands: Annotated[list[ObjectId], Field(max_length=1000)] | None = None
    competitive_categories: Annotated[list[ObjectId], Field(max_length=1000)] | None = None
    lifetime_budget: Amount | None = None
    lifetime_budget_imps: budget.Count | None = None
    daily_budget: Amount | None = None
    daily_budget_imps: budget.Count | None = None
    enable_pacing: Boolean | None = None
    lifetime_pacing: Boolean | None = None
    lifetime_pacing_span: budget.Count | None = None
    lifetime_pacing_pct: budget.Pace | None = None
    enable_political_io_by_default: Boolean = True
    is_running_political_ads: Boolean = False
    legal_entity_name: Text255 | None = None
    billing_internal_user: Annotated[list[Text100], Field(max_length=100)] | None = None
    billing_name: Text50 | None = None
    billing_phone: Text20 | None = None
    billing_address1: Text100 | None = None
    billing_address2: Text100 | None = None
    billing_city: Text100 | None = None
    billing_state: Text100 | None = None
    billing_country: Text100 | None = None
    billing_zip: Text25 | None = None


class Advertiser(Entity):
    """An advertiser."""

    service = "advertiser"
    table = tables.advertiser
    body = _AdvertiserBody
    code_owner = "member_id"
    partial = frozenset({"labels"})
    derived = {  # noqa: RUF012
        "thirdparty_pixels": "array of objects",
        "labels": "array of objects",
        "is_malicious": "boolean",
        "object_stats": "object",
    }
    fixed = {  # noqa: RUF012
        "is_mediated": ("boolean", False),
        "default_category": ("object", None),
        "default_brand": ("object", None),
        "macros": ("array of objects", None),
        "partner_fees": ("array of objects", None),
        "allow_safety_pacing": ("boolean", None),
    }
    optional = {"object_stats": "object_stats"}  # noqa: RUF012
    flags = {"set_child_timezone": "update"}  # noqa: RUF012
    output = (
        "id",
        "code",
        "name",
        "member_id",
        *tuple(_AdvertiserBody.model_fields)[2:],
        *fixed,
        "is_malicious",
        "thirdparty_pixels",
        "last_modified",
        "object_stats",
    )

    async def check(self, work: UnitOfWork, values: Values, stored: Values | None, owners: Values) -> None:
        member = await work.member_row()
        inherit_zone_and_currency(values, member, "default_currency")
        if stored is not None and stored["doc"].get("use_insertion_orders") and not values["use_insertion_orders"]:
            order = tables.insertion_order
            if await work.exists(order, order.c.advertiser_id == stored["id"]):
                work.conflict("use_insertion_orders", "cannot be false while the advertiser has insertion orders")

    async def modified(self, work: UnitOfWork, before: Values, after: Values, carried: Carried) -> None:
        if work.request.flags.get("set_child_timezone", False):
            for table in (tables.insertion_order, tables.line_item):
                children = select(table.c.id, table.c.doc).where(
                    table.c.member_id == work.member_id, table.c.advertiser_id == before["id"]
                )
                for row in (await work.connection.execute(children)).all():
                    zone = after["doc"]["timezone"]
                    if row.doc["timezone"] != zone:
                        await work.update(table, row.id, {"doc": {**row.doc, "timezone": zone}})

    async def delete(self, work: UnitOfWork, ids: Sequence[int]) -> None:
        line_items = select(tables.line_item.c.id).where(
            tables.line_item.c.member_id == work.member_id, tables.line_item.c.advertiser_id.in_(ids)
        )
        await LineItem().delete(work, list(await work.connection.scalars(line_items)))
        await work.delete(tables.insertion_order, tables.insertion_order.c.advertiser_id.in_(ids))
        await work.delete(tables.thirdparty_pixel, tables.thirdparty_pixel.c.advertiser_id.in_(ids))
        await super().delete(work, ids)

    async def related(self, connection: AsyncConnection, rows: Sequence[Values]) -> dict[int, Values]:
        ids = [row["id"] for row in rows]
        pixels = await thirdparty_pixel.pixels_of_advertisers(connection, rows[0]["member_id"], ids)
        return {
            row["id"]: {
                "thirdparty_pixels": pixels.get(row["id"]),
                "labels": labels.with_label_names(row["doc"].get("labels")),
                "is_malicious": False,
            }
            for row in rows
        }

    async def related_if_asked(self, connection: AsyncConnection, rows: Sequence[Values]) -> Mapping[int, Values]:
        stats: dict[int, Values] = {row["id"]: {} for row in rows}
        for table in (tables.insertion_order, tables.line_item):
            owner, state = table.c.advertiser_id, table.c.state
            count_query = select(owner, state, func.count()).where(owner.in_(list(stats))).group_by(owner, state)
            by_state: dict[int, dict[str, int]] = {}
            for row_id, name, count in await connection.execute(count_query):
                by_state.setdefault(row_id, {})[name] = count
            for row_id, row_stats in stats.items():
                row_stats[f"{table.name}s"] = count_by_state(by_state.get(row_id, {}))
        return {row_id: {"object_stats": row_stats} for row_id, row_stats in stats.items()}
