"""`site`: a group of placements of a publisher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.config_store import tables
from onebyone.resources.entities.placement import Placement
from onebyone.resources.entity import Entity, Reference, Values
from onebyone.resources.fields import Body, Boolean, Code, Integer, Name, ObjectLink, State, Text100, Text255, as_list
from onebyone.resources.unit_of_work import UnitOfWork

Ids = Annotated[list[ObjectLink], Field(max_length=1000), BeforeValidator(as_list)]


class MarketplaceMap(Body):
    performance: Boolean = False
    rtb: Boolean = False
    an_audit_perf_only: Boolean = False
    rtb_suspended: Boolean = False
    deals_allowed: Boolean = False
    deals_suspended: Boolean = False


class _SiteBody(Body):
    name: Name
    code: Code = None
    state: State = "active"
    url: Text255 | None = None
    primary_content_category_id: Integer | None = None
    intended_audience: Literal["general", "children", "young_adult", "mature"] | None = None
    audited: Boolean = False
    supply_type: Literal["web", "mobile_web", "mobile_app"] = "web"
    creative_format_action: Literal["include", "exclude"] = "exclude"
    creative_formats: Annotated[list[Text100], Field(max_length=100, default_factory=lambda: ["text"])]
    allowed_click_actions: Annotated[list[Text100], Field(max_length=100, default_factory=lambda: ["click-to-web"])]
    marketplace_map: MarketplaceMap = MarketplaceMap()
    content_categories: Ids | None = None
    inventory_attributes: Ids | None = None
    mobile_app_instance: ObjectLink | None = None


class Site(Entity):
    """A site."""

    service = "site"
    table = tables.site
    body = _SiteBody
    parent = Reference("publisher_id", "publisher_id", tables.publisher, name_field="publisher_name")
    code_owner = "publisher_id"
    partial = frozenset({"marketplace_map"})
    fixed = dict.fromkeys(("managed_optimization_zone_id", "rtb_optimization_zone_id"), ("int", None))
    derived = {"placements": "array of objects"}  # noqa: RUF012
    output = (
        "id",
        "code",
        "name",
        "state",
        "url",
        "member_id",
        "publisher_id",
        "publisher_name",
        "primary_content_category_id",
        "intended_audience",
        "audited",
        *tuple(_SiteBody.model_fields)[7:],
        *fixed,
        "placements",
        "last_modified",
    )

    async def delete(self, work: UnitOfWork, ids: Sequence[int]) -> None:
        inside = select(tables.placement.c.id).where(
            tables.placement.c.member_id == work.member_id, tables.placement.c.site_id.in_(ids)
        )
        await Placement().delete(work, list(await work.connection.scalars(inside)))
        if work.faults:
            return
        publisher = tables.publisher
        default = (publisher.c.member_id == work.member_id, publisher.c.default_site_id.in_(ids))
        for publisher_id in await work.connection.scalars(select(publisher.c.id).where(*default)):
            await work.republish_trackers("publisher_id", publisher_id)
        await work.connection.execute(update(publisher).where(*default).values(default_site_id=None))
        await super().delete(work, ids)

    async def related(self, connection: AsyncConnection, rows: Sequence[Values]) -> dict[int, Values]:
        return await placements_of(connection, "site_id", rows)


async def placements_of(connection: AsyncConnection, owner: str, rows: Sequence[Values]) -> dict[int, Values]:
    """Return `placements` of sites or publishers, by id of the owner: `[{id, code}]`, or null when there are none."""
    shown: dict[int, Values] = {row["id"]: {"placements": None} for row in rows}
    columns = tables.placement.c
    query = select(columns[owner], columns.id, columns.code).where(
        columns.member_id == rows[0]["member_id"], columns[owner].in_(list(shown))
    )
    for row in (await connection.execute(query.order_by(columns.id))).mappings():
        fields = shown[row[owner]]
        fields["placements"] = [*(fields["placements"] or []), {"id": row["id"], "code": row["code"]}]
    return shown
