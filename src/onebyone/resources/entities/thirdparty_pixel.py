"""`thirdparty-pixel`: third-party code or URLs to render with the ads of advertisers or of the whole member."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.config_store import tables
from onebyone.errors import NotFound
from onebyone.resources import urls
from onebyone.resources.entity import Carried, Entity, Reference, Values
from onebyone.resources.fields import Body, Boolean, LongText, ObjectId, ObjectLink, Text255, as_list
from onebyone.resources.ordered_links import OrderedLinks
from onebyone.resources.unit_of_work import UnitOfWork

ADVERTISERS = OrderedLinks(tables.thirdparty_pixel_advertiser, "thirdparty_pixel_id", "advertiser_id")
_SCRIPT, _ADDRESS = ("content", "secure_content"), ("url", "secure_url")


def _url(value: str) -> str:
    urls.target_host(value)
    return value


def _secure_url(value: str) -> str:
    if not value.lower().startswith("https://"):
        raise ValueError("must be an https URL")
    return _url(value)


Url = Annotated[str, AfterValidator(_url), Field(json_schema_extra=urls.URL_SCHEMA)]
SecureUrl = Annotated[
    str,
    AfterValidator(_secure_url),
    Field(json_schema_extra={**urls.URL_SCHEMA, "pattern": "^[Hh][Tt][Tt][Pp][Ss]://"}),
]


class SupplyException(Body):
    name: Literal["AdX"]


Ids = Annotated[
    list[ObjectLink], Field(max_length=1000), BeforeValidator(as_list), AfterValidator(lambda ids: ids or None)
]
Exceptions = Annotated[list[SupplyException], Field(max_length=10), BeforeValidator(as_list)]


class _PixelBody(Body):
    name: Text255 | None = None
    active: Boolean = True
    member_id: ObjectId | None = None
    advertiser_id: ObjectId | None = None
    format: Literal["raw-js", "url-html", "url-js", "url-image", "raw-url"] = "raw-js"
    audit_status: Literal["pending", "rejected", "approved", "exempt"] = "pending"
    content: LongText | None = None
    secure_content: LongText | None = None
    url: Url | None = None
    secure_url: SecureUrl | None = None
    members: Ids | None = None
    advertisers: Ids | None = None
    supply_exceptions: Exceptions | None = None
    adservers: Ids | None = None


class ThirdpartyPixel(Entity):
    """A pixel. Only an admin changes its audit status, and new content has to be audited again."""

    service = "thirdparty-pixel"
    table = tables.thirdparty_pixel
    body = _PixelBody
    references = (Reference("advertiser_id", "advertiser_id", tables.advertiser),)
    immutable = frozenset({"advertiser_id"})
    discriminators = frozenset({"format", "advertiser_id", *_SCRIPT, *_ADDRESS})
    derived = {  # noqa: RUF012
        "advertisers": "array of objects",
        "publisher_id": "int",
        "publishers": "array of objects",
        "creatives": "array of objects",
    }
    output = (
        *("id", "active", "name", "member_id", "advertiser_id", "publisher_id", "format", "audit_status", "created_on"),
        *("last_modified", *_SCRIPT, *_ADDRESS, "members", "advertisers", "publishers", "creatives"),
        *("supply_exceptions", "adservers"),
    )

    async def load(self, work: UnitOfWork, stored: Values) -> Values:
        attached = await ADVERTISERS.targets_of(work.connection, [stored["id"]])
        return {"advertisers": [{"id": advertiser} for advertiser in attached.get(stored["id"], ())] or None}

    async def check(self, work: UnitOfWork, values: Values, stored: Values | None, owners: Values) -> Carried:
        if values.pop("member_id") not in (None, work.member_id):
            work.invalid("member_id", "must be the member of the session")
        for place, member in enumerate(values["members"] or ()):
            if member["id"] != work.member_id:
                work.invalid(f"members.{place}.id", str(NotFound("member", member["id"])))
        needed = _SCRIPT if values["format"] == "raw-js" else _ADDRESS
        if not any(values[name] for name in needed):
            work.invalid(needed[0], f"{needed[0]} or {needed[1]} is required with format {values['format']}")
        old = {} if stored is None else stored["doc"]
        changed = [name for name in (*_SCRIPT, *_ADDRESS) if values[name] != old.get(name)]
        if stored is not None and changed and "format" not in work.request.sent:
            work.invalid("format", f"required when {changed[0]} changes")
        advertisers = [advertiser["id"] for advertiser in values.pop("advertisers") or ()]
        await _check_advertisers(work, advertisers, values["advertiser_id"])
        before = "pending" if stored is None else stored["audit_status"]
        if not work.request.admin:
            if values["audit_status"] != before:
                values["audit_status"] = before
            if changed and before != "exempt":
                values["audit_status"] = "pending"
        if stored is None:
            values["created_on"] = work.now
        return {"advertisers": advertisers}

    async def created(self, work: UnitOfWork, row: Values, carried: Carried) -> None:
        await ADVERTISERS.replace(work, row["id"], carried["advertisers"])

    async def modified(self, work: UnitOfWork, before: Values, after: Values, carried: Carried) -> None:
        await ADVERTISERS.replace(work, before["id"], carried["advertisers"])

    async def related(self, connection: AsyncConnection, rows: Sequence[Values]) -> dict[int, Values]:
        attached = await ADVERTISERS.targets_of(connection, [row["id"] for row in rows])
        return {
            row["id"]: {"advertisers": [{"id": advertiser} for advertiser in attached.get(row["id"], ())] or None}
            for row in rows
        }


async def _check_advertisers(work: UnitOfWork, advertisers: Sequence[int], owner_id: int | None) -> None:
    for place, advertiser in enumerate(advertisers):
        path = f"advertisers.{place}.id"
        if owner_id not in (None, advertiser):
            work.conflict(path, f"only the owning advertiser {owner_id} may be here")
        elif await work.find_row(tables.advertiser, advertiser) is None:
            work.invalid(path, str(NotFound("advertiser", advertiser)))


_PIXEL = tables.thirdparty_pixel.c
_BRIEF_COLUMNS = (_PIXEL.id, _PIXEL.name, _PIXEL.active, _PIXEL.audit_status)


def _show_brief(row: Any) -> Values:
    return {"id": row.id, "name": row.name, "active": row.active, "audit_status": row.audit_status}


async def pixels_of_advertisers(
    connection: AsyncConnection, member_id: int, ids: Sequence[int]
) -> dict[int, list[Values]]:
    """Return `thirdparty_pixels` by advertiser, for those that have any."""
    link = tables.thirdparty_pixel_advertiser
    query = (
        select(link.c.advertiser_id, *_BRIEF_COLUMNS)
        .join(link, link.c.thirdparty_pixel_id == _PIXEL.id)
        .where(_PIXEL.member_id == member_id, link.c.advertiser_id.in_(ids))
        .order_by(_PIXEL.id)
    )
    pixels: dict[int, list[Values]] = {}
    for row in await connection.execute(query):
        pixels.setdefault(row.advertiser_id, []).append(_show_brief(row))
    return pixels


async def pixels_of_member(connection: AsyncConnection, member_id: int) -> list[Values] | None:
    """Return `thirdparty_pixels` of the member; None when there are none."""
    query = select(*_BRIEF_COLUMNS).where(_PIXEL.member_id == member_id, _PIXEL.doc["members"].as_string().is_not(None))
    return [_show_brief(row) for row in await connection.execute(query.order_by(_PIXEL.id))] or None
