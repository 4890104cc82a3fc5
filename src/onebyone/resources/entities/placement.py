"""`placement`: a slot on a publisher's site; trackers call it their `tag`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from onebyone.config_store import tables
from onebyone.resources.entity import Carried, Entity, Reference, Values
from onebyone.resources.fields import (
    Body,
    Boolean,
    Integer,
    LongText,
    Name,
    ObjectId,
    ObjectLink,
    State,
    as_list,
    empty_is_none,
)
from onebyone.resources.unit_of_work import UnitOfWork

PlacementCode = Annotated[
    Annotated[str, StringConstraints(max_length=100, pattern=r"^[A-Za-z0-9._%-]+$")] | None,
    BeforeValidator(empty_is_none),
]
"""Letters, digits and `._-%`, as documented; an empty code is null."""


class _PlacementBody(Body):
    name: Name
    code: PlacementCode = None
    code2: PlacementCode = None
    code3: PlacementCode = None
    state: State = "active"
    width: Integer | None = None
    height: Integer | None = None
    default_position: Literal["above", "below", "unknown"] = "unknown"
    site_id: ObjectId | None = None
    pixel_url: LongText | None = None
    pixel_type: Literal["image", "javascript"] = "image"
    hide_referer: Boolean = False
    audited: Boolean = False
    audit_level: Literal["site", "placement"] = "site"
    demand_filter_action: Literal["include", "exclude", "default"] = "default"
    filtered_advertisers: Annotated[list[ObjectLink], Field(max_length=1000), BeforeValidator(as_list)] | None = None
    filtered_line_items: Annotated[list[ObjectLink], Field(max_length=1000), BeforeValidator(as_list)] | None = None


class Placement(Entity):
    """A placement; the query string of a POST names its publisher or its site."""

    service = "placement"
    table = tables.placement
    body = _PlacementBody
    parent = Reference("publisher_id", "publisher_id", tables.publisher, name_field="publisher_name")
    references = (Reference("site_id", "site_id", tables.site, owner="publisher_id", name_field="site_name"),)
    code_owner = "publisher_id"
    output = (
        "id",
        "name",
        "code",
        "code2",
        "code3",
        "state",
        "width",
        "height",
        "default_position",
        "member_id",
        "publisher_id",
        "publisher_name",
        "site_id",
        "site_name",
        "pixel_url",
        "pixel_type",
        "hide_referer",
        "audited",
        *tuple(_PlacementBody.model_fields)[13:],
        "last_modified",
    )

    async def parents(self, work: UnitOfWork, named: Mapping[str, str]) -> Values:
        if "site_id" not in named:
            return await super().parents(work, named)
        owner = await work.resolve_owner(tables.site, named)
        site = await work.find_row(tables.site, owner["site_id"]) if owner else None
        if site is None:
            return {}
        publisher_id = named.get("publisher_id", str(site["publisher_id"]))
        if publisher_id != str(site["publisher_id"]):
            work.conflict("site_id", f"site {site['id']} does not belong to publisher {publisher_id}")
        return {"publisher_id": site["publisher_id"], "site_id": site["id"]}

    async def check(self, work: UnitOfWork, values: Values, stored: Values | None, owners: Values) -> None:
        if stored is not None and values["site_id"] is None and stored["site_id"] is not None:
            work.invalid("site_id", "cannot be taken away")

    async def created(self, work: UnitOfWork, row: Values, carried: Carried) -> None:
        if row.get("site_id") is None:
            publisher = await work.find_row(tables.publisher, row["publisher_id"])
            if publisher is not None and publisher["default_site_id"] is not None:
                await work.update(self.table, row["id"], {"site_id": publisher["default_site_id"]})

    async def modified(self, work: UnitOfWork, before: Values, after: Values, carried: Carried) -> None:
        if before["site_id"] != after["site_id"]:
            await work.republish_trackers("placement_id", before["id"])

    async def delete(self, work: UnitOfWork, ids: Sequence[int]) -> None:
        if await work.is_tracked("placement_id", ids):
            work.conflict("id", "a tracker still uses the placement")
            return
        await super().delete(work, ids)
