"""`advertiser`: owner of line items and trackers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.api.entities import thirdparty_pixel
from onebyone.api.entities.line_item import LineItem
from onebyone.api.entity import Entity, Values
from onebyone.api.fields import Body, Boolean, Code, Currency, Name, State, Text100, TimeZone
from onebyone.api.store import tables
from onebyone.api.work import Work


class _AdvertiserBody(Body):
    name: Name
    code: Code = None
    state: State = "active"
    timezone: TimeZone | None = None
    time_format: Literal["12-hour", "24-hour"] = "12-hour"
    default_currency: Currency | None = None
    use_insertion_orders: Boolean = False
    billing_name: Text100 | None = None
    billing_phone: Text100 | None = None
    billing_address1: Text100 | None = None
    billing_address2: Text100 | None = None
    billing_city: Text100 | None = None
    billing_state: Text100 | None = None
    billing_country: Text100 | None = None
    billing_zip: Text100 | None = None


class Advertiser(Entity):
    """An advertiser."""

    service = "advertiser"
    table = tables.advertiser
    body = _AdvertiserBody
    code_owner = "member_id"
    derived = {"thirdparty_pixels": "array of objects"}  # noqa: RUF012
    output = (
        "id",
        "code",
        "name",
        "member_id",
        *tuple(_AdvertiserBody.model_fields)[2:],
        "thirdparty_pixels",
        "last_modified",
    )

    async def check(self, work: Work, values: Values, stored: Values | None, owners: Values) -> None:
        member = await work.member()
        values["timezone"] = values["timezone"] or member["doc"]["timezone"]
        values["default_currency"] = values["default_currency"] or member["doc"]["default_currency"]

    async def delete(self, work: Work, ids: Sequence[int]) -> None:
        found = select(tables.line_item.c.id).where(
            tables.line_item.c.member_id == work.member_id, tables.line_item.c.advertiser_id.in_(ids)
        )
        await LineItem().delete(work, list(await work.connection.scalars(found)))
        await work.delete(tables.insertion_order, tables.insertion_order.c.advertiser_id.in_(ids))
        await work.delete(tables.thirdparty_pixel, tables.thirdparty_pixel.c.advertiser_id.in_(ids))
        await super().delete(work, ids)

    async def related(self, connection: AsyncConnection, rows: Sequence[Values]) -> dict[int, Values]:
        found = await thirdparty_pixel.of_advertisers(connection, rows[0]["member_id"], [row["id"] for row in rows])
        return {row["id"]: {"thirdparty_pixels": found.get(row["id"])} for row in rows}
