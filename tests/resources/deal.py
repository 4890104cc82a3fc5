"""A complete new entity, as an example of what it takes to add one (`docs/new-entity.md`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from sqlalchemy import BigInteger, Column

from onebyone.config_store import tables
from onebyone.resources.entity import Entity, Reference, Values
from onebyone.resources.fields import (
    Body,
    Boolean,
    Code,
    Integer,
    Name,
    ObjectLink,
    OptionalLink,
    OptionalMoney,
    State,
    Timestamp,
    as_list,
)
from onebyone.resources.unit_of_work import UnitOfWork

TABLE = tables.entity_table(
    "deal",
    {"advertiser_id": tables.advertiser, "publisher_id": tables.publisher},
    Column("publisher_id", BigInteger),
    code_owner="advertiser_id",
)


class DealFloor(Body):
    price: Annotated[float, Field(ge=0)] = 0
    hard: Boolean = False


class _DealBody(Body):
    name: Name
    code: Code = None
    state: State = "active"
    publisher: OptionalLink = None
    kind: Literal["private", "open"] = "private"
    priority: Integer = 5
    budget: OptionalMoney = None
    end_date: Timestamp | None = None
    floor: DealFloor = DealFloor()
    sizes: Annotated[list[ObjectLink], Field(max_length=10), BeforeValidator(as_list)] | None = None


class Deal(Entity):
    """A deal of an advertiser with one publisher, or with all."""

    service = "deal"
    table = TABLE
    body = _DealBody
    parent = Reference("advertiser_id", "advertiser_id", tables.advertiser)
    references = (Reference("publisher", "publisher_id", tables.publisher),)
    code_owner = "advertiser_id"
    immutable = frozenset({"kind"})
    partial = frozenset({"floor", "sizes"})
    output = ("id", "member_id", "advertiser_id", *_DealBody.model_fields, "last_modified")

    async def check(self, work: UnitOfWork, values: Values, stored: Values | None, owners: Values) -> None:
        if values["kind"] == "open" and values["publisher"] is not None:
            work.invalid("publisher", "an open deal is of no publisher")
