"""`payment-rule`: how much a publisher is paid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from sqlalchemy import select

from onebyone.config_store import tables
from onebyone.resources.entities import budget
from onebyone.resources.entity import Carried, Entity, Reference, Values
from onebyone.resources.fields import (
    Body,
    Boolean,
    Code,
    Integer,
    Name,
    ObjectId,
    ObjectLink,
    OptionalMoney,
    OptionalShare,
    State,
    Text255,
    Timestamp,
    TimeZone,
    as_list,
)
from onebyone.resources.unit_of_work import UnitOfWork

_NEEDED = {"cpm": ("cost_cpm",), "revshare": ("revshare",), "dynamic": ("revshare", "max_revshare")}
"""Pricing type -> fields that it requires."""
_PRICE = ("pricing_type", "cost_cpm", "revshare")


class _PaymentRuleBody(Body):
    name: Name
    code: Code = None
    state: State = "active"
    description: Text255 = ""
    pricing_type: Literal["revshare", "cpm", "dynamic"] = "revshare"
    cost_cpm: OptionalMoney = None
    revshare: OptionalShare = None
    start_date: Timestamp | None = None
    end_date: Timestamp | None = None
    timezone: TimeZone = "EST5EDT"
    priority: Annotated[Integer, Field(ge=1, le=10)] = 5
    buyer_type: Literal["direct", "external", "both"] = "both"
    apply_cost_on_default: Boolean = False
    max_revshare: OptionalShare = None
    target_ecpm: OptionalMoney = None
    profile_id: ObjectId | None = None
    demand_filter_action: Literal["include", "exclude", "default"] = "default"
    filtered_advertisers: Annotated[list[ObjectLink], Field(max_length=1000), BeforeValidator(as_list)] | None = None
    filtered_line_items: Annotated[list[ObjectLink], Field(max_length=1000), BeforeValidator(as_list)] | None = None


class PaymentRule(Entity):
    """A payment rule. The base rule of a publisher applies to trackers that name none."""

    service = "payment-rule"
    table = tables.payment_rule
    body = _PaymentRuleBody
    parent = Reference("publisher_id", "publisher_id", tables.publisher, name_field="publisher_name")
    code_owner = "publisher_id"
    discriminators = frozenset({"pricing_type"})
    fixed = {  # noqa: RUF012
        **dict.fromkeys(budget.BUDGETS, ("double", None)),
        "filtered_campaigns": ("array of objects", None),
    }
    output = (
        "id",
        "code",
        "name",
        "member_id",
        "publisher_id",
        "publisher_name",
        *tuple(_PaymentRuleBody.model_fields)[2:],
        *fixed,
        "last_modified",
    )

    async def check(self, work: UnitOfWork, values: Values, stored: Values | None, owners: Values) -> None:
        for field in _NEEDED[values["pricing_type"]]:
            if values[field] is None:
                work.invalid(field, f"required with pricing_type {values['pricing_type']}")
        if values["pricing_type"] != "dynamic" and values["max_revshare"] is not None:
            work.invalid("max_revshare", "must be null unless pricing_type is dynamic")
        if None not in (values["max_revshare"], values["revshare"]) and values["max_revshare"] < values["revshare"]:
            work.invalid("max_revshare", "must not be less than revshare")

    async def modified(self, work: UnitOfWork, before: Values, after: Values, carried: Carried) -> None:
        if any(before["doc"].get(field) != after["doc"].get(field) for field in _PRICE):
            await work.republish_trackers("payment_rule_id", before["id"])
            base = select(tables.publisher.c.id).where(
                tables.publisher.c.member_id == work.member_id, tables.publisher.c.base_payment_rule_id == before["id"]
            )
            await work.republish_trackers("publisher_id", base)

    async def delete(self, work: UnitOfWork, ids: Sequence[int]) -> None:
        if await work.is_tracked("payment_rule_id", ids):
            work.conflict("id", "a tracker still uses the payment rule")
        if await work.exists(tables.publisher, tables.publisher.c.base_payment_rule_id.in_(ids)):
            work.conflict("id", "the base payment rule of a publisher cannot be deleted")
        if not work.faults:
            await super().delete(work, ids)


def base_payment_rule() -> Values:
    """Return the columns of the rule that a new publisher starts with: it pays nothing until somebody edits it."""
    doc = {"pricing_type": "revshare", "revshare": 0, "priority": 1}
    return {"name": "Base Payment Rule", "state": "active", "doc": doc}
