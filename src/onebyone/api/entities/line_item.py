"""`line-item`: what an advertiser pays for; trackers count for it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.api.entities.tracker import Clicktracker, Imptracker
from onebyone.api.entity import Entity, Reference, Values
from onebyone.api.fields import Body, Currency, LongText, Money, Name, State, StrictCode, TimeZone
from onebyone.api.store import tables
from onebyone.api.work import Work

TRACKERS = (Imptracker(), Clicktracker())
_PRICE = ("revenue_type", "revenue_value")


class _LineItemBody(Body):
    name: Name
    code: StrictCode = None
    state: State = "active"
    timezone: TimeZone | None = None
    revenue_type: Literal["none", "cpm", "cpc", "flat_fee"] = "cpm"
    revenue_value: Money = Decimal(0)
    currency: Currency | None = None
    comments: LongText | None = None


class LineItem(Entity):
    """A plain line item."""

    service = "line-item"
    table = tables.line_item
    body = _LineItemBody
    parent = Reference("advertiser_id", "advertiser_id", tables.advertiser)
    code_owner = "advertiser_id"
    immutable = frozenset({"currency"})
    derived = {  # noqa: RUF012
        "line_item_type": "string",
        "imptrackers": "array of objects",
        "clicktrackers": "array of objects",
    }
    output = (
        "id",
        "code",
        "name",
        "advertiser_id",
        "member_id",
        "state",
        "line_item_type",
        "timezone",
        "revenue_type",
        "revenue_value",
        "currency",
        "comments",
        "imptrackers",
        "clicktrackers",
        "last_modified",
    )

    async def check(self, work: Work, values: Values, stored: Values | None, owners: Values) -> None:
        advertiser = await work.row(tables.advertiser, owners["advertiser_id"]) if owners else None
        if advertiser is not None:
            values["timezone"] = values["timezone"] or advertiser["doc"]["timezone"]
            values["currency"] = values["currency"] or advertiser["doc"]["default_currency"]

    async def modified(self, work: Work, before: Values, after: Values) -> None:
        if any(before["doc"].get(field) != after["doc"].get(field) for field in _PRICE):
            await work.trackers_changed("line_item_id", before["id"])

    async def delete(self, work: Work, ids: Sequence[int]) -> None:
        for tracker in TRACKERS:
            found = select(tracker.table.c.id).where(
                tracker.table.c.member_id == work.member_id, tracker.table.c.line_item_id.in_(ids)
            )
            await tracker.delete(work, list(await work.connection.scalars(found)))
        await super().delete(work, ids)

    async def related(self, connection: AsyncConnection, rows: Sequence[Values]) -> dict[int, Values]:
        shown: dict[int, Values] = {row["id"]: {"line_item_type": "standard_v1"} for row in rows}
        for tracker in TRACKERS:
            columns = tracker.table.c
            found = select(columns.line_item_id, columns.id, columns.name, columns.code, columns.state)
            found = found.where(columns.member_id == rows[0]["member_id"], columns.line_item_id.in_(list(shown)))
            for row in (await connection.execute(found.order_by(columns.id))).mappings():
                element = {name: row[name] for name in ("id", "name", "code", "state")}
                shown[row["line_item_id"]].setdefault(tracker.plural, []).append(element)
        return shown
