"""`member`: the tenant, with its time zone and redirect rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.config_store import tables
from onebyone.resources import urls
from onebyone.resources.entities import thirdparty_pixel
from onebyone.resources.entity import Carried, Entity, Values
from onebyone.resources.fields import Body, Currency, Name, TimeZone
from onebyone.resources.unit_of_work import UnitOfWork

_REDIRECTS = ("redirect_policy", "redirect_domains")


def _unique(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


class _MemberBody(Body):
    name: Name
    timezone: TimeZone = "EST5EDT"
    default_currency: Currency = "USD"
    reporting_decimal_type: Literal["decimal", "comma"] = "decimal"
    redirect_policy: Literal["approved", "any"] = "approved"
    redirect_domains: Annotated[
        list[Annotated[str, AfterValidator(urls.ascii_domain), Field(json_schema_extra=urls.DOMAIN_SCHEMA)]],
        Field(max_length=1000, default_factory=list),
        AfterValidator(_unique),
    ]


class Member(Entity):
    """The caller's own member; only the operator changes `state` and `enable_click_and_imp_trackers`."""

    service = "member"
    table = tables.member
    body = _MemberBody
    tenant_column = "id"
    operations = ("read", "update")
    derived = {"enable_click_and_imp_trackers": "boolean", "thirdparty_pixels": "array of objects"}  # noqa: RUF012
    output = (
        "id",
        "name",
        "state",
        "timezone",
        "default_currency",
        "reporting_decimal_type",
        "enable_click_and_imp_trackers",
        "redirect_policy",
        "redirect_domains",
        "thirdparty_pixels",
        "last_modified",
    )

    def unwritable(self, work: UnitOfWork, stored: Values | None) -> Values:
        if stored is None:
            return {}
        trackers = stored["doc"].get("enable_click_and_imp_trackers", False)
        return {"state": stored["state"], "enable_click_and_imp_trackers": trackers}

    async def related(self, connection: AsyncConnection, rows: Sequence[Values]) -> dict[int, Values]:
        return {
            row["id"]: {
                "enable_click_and_imp_trackers": row["doc"].get("enable_click_and_imp_trackers", False),
                "thirdparty_pixels": await thirdparty_pixel.pixels_of_member(connection, row["id"]),
            }
            for row in rows
        }

    async def modified(self, work: UnitOfWork, before: Values, after: Values, carried: Carried) -> None:
        if any(before["doc"].get(field) != after["doc"].get(field) for field in _REDIRECTS):
            work.republish_member()
