"""`member`: the tenant, its time zone and its rules for redirects."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from onebyone.api import urls
from onebyone.api.entity import Entity, Values
from onebyone.api.fields import Body, Currency, Name, TimeZone
from onebyone.api.store import tables
from onebyone.api.work import Work

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
        list[Annotated[str, AfterValidator(urls.domain)]],
        Field(max_length=1000, default_factory=list),
        AfterValidator(_unique),
    ]


class Member(Entity):
    """The caller's own member; `enable_click_and_imp_trackers` is read-only here."""

    service = "member"
    table = tables.member
    body = _MemberBody
    scope = "id"
    methods = ("GET", "PUT")
    derived = {"enable_click_and_imp_trackers": "boolean"}  # noqa: RUF012
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
        "last_modified",
    )

    async def modified(self, work: Work, before: Values, after: Values) -> None:
        if any(before["doc"].get(field) != after["doc"].get(field) for field in _REDIRECTS):
            work.member_changed()
