"""An entity: one kind of object, as its fields and rules. `service.py` does everything else with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Table
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.errors import Operation
from onebyone.reports.delivery_stats import DeliveryStats
from onebyone.resources.fields import MICROS, Body
from onebyone.resources.paging import Query
from onebyone.resources.unit_of_work import UnitOfWork
from onebyone.settings import Settings

Values = dict[str, Any]
Carried = Mapping[str, Sequence[int]]
"""Field -> ids that no column of the row holds: `check` returns them for `created` and `modified`."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A field that points at another object of the same member."""

    field: str
    """`publisher` shows `{"id", "name"}`; a field that is the column itself (`site_id`) shows the id."""
    column: str
    target: Table
    owner: str | None = None
    """A column that both rows must agree on: the placement of a tracker belongs to the tracker's publisher."""
    name_field: str | None = None
    """Where a flat reference shows the target's name (`site_name`)."""

    @property
    def service(self) -> str:
        """The name of the target's service."""
        return self.target.name.replace("_", "-")

    @property
    def nested(self) -> bool:
        """Whether the field is an object with an id."""
        return self.field != self.column

    @property
    def path(self) -> str:
        """The path of the id in a fault."""
        return f"{self.field}.id" if self.nested else self.field


def range_parameters(fields: Iterable[str]) -> Iterator[str]:
    """Return the parameters that filter these fields by range."""
    return (f"{prefix}_{field}" for prefix in ("min", "max", "nmin", "nmax") for field in fields)


class Entity:
    """Attributes are data; methods are the places for rules and do nothing by default."""

    service: ClassVar[str]
    table: ClassVar[Table]
    body: ClassVar[type[Body]]
    output: ClassVar[tuple[str, ...]]
    """Fields of an object in the order of the documents' samples."""
    parent: ClassVar[Reference | None] = None
    """The owner that a new object is created under; it never changes."""
    references: ClassVar[tuple[Reference, ...]] = ()
    code_owner: ClassVar[str | None] = None
    """Column within whose value codes are unique."""
    operations: ClassVar[tuple[Operation, ...]] = ("read", "create", "update", "delete")
    immutable: ClassVar[frozenset[str]] = frozenset()
    """Fields that an update must leave as they are."""
    partial: ClassVar[frozenset[str]] = frozenset()
    """Objects inside the object, alone or in an array, that an update changes field by field."""
    discriminators: ClassVar[frozenset[str]] = frozenset()
    """Fields that decide which rules apply to the others: while one of them is invalid, no rule is checked."""
    derived: ClassVar[Mapping[str, str]] = {}
    """Field -> type word (`field_shapes.py`), for fields that only the server writes, or that `related` or
    `fields_of_row` gives."""
    fixed: ClassVar[Mapping[str, tuple[str, Any]]] = {}
    """Documented fields without an effect here, which callers cannot write: field -> (type word, value shown)."""
    optional: ClassVar[Mapping[str, str]] = {}
    """Field -> flag, for fields that are shown only when a read sets the flag."""
    ranged: ClassVar[frozenset[str]] = frozenset()
    """Fields of the report store that a read can filter by range (`delivery_conditions`)."""
    flags: ClassVar[Mapping[str, Operation]] = {}
    """Flag -> operation that reads it, for flags of this entity alone."""
    search_column: ClassVar[str] = "name"
    """Column that `search` looks through besides the id."""
    tenant_column: ClassVar[str] = "member_id"
    """Column that holds the id of the member."""

    @property
    def plural(self) -> str:
        """The name of a list."""
        return f"{self.service}s"

    @cached_property
    def links(self) -> tuple[Reference, ...]:
        """Parent and references."""
        return self.references if self.parent is None else (self.parent, *self.references)

    @cached_property
    def millionths(self) -> frozenset[str]:
        """Fields that are stored as integer millionths."""
        return frozenset(name for name, field in self.body.model_fields.items() if MICROS in field.metadata)

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """Fields of an object unless a read asks for others."""
        return tuple(name for name in self.output if name not in self.optional)

    def default(self, field: str) -> Any:
        """Return what an object shows for a field that its row lacks."""
        if field in self.fixed:
            return self.fixed[field][1]
        declared = self.body.model_fields.get(field)
        if declared is None or declared.is_required():
            return None
        value = declared.get_default(call_default_factory=True)
        if isinstance(value, BaseModel):
            return value.model_dump()
        return int(value * 10**6) if isinstance(value, Decimal) else value

    def columns(self, values: Values) -> Values:
        """Return further columns that follow from the fields."""
        return {}

    async def parents(self, work: UnitOfWork, named: Mapping[str, str]) -> Values:
        """Return the columns of the owner named for a new object; add a fault when there is none."""
        return {} if self.parent is None else await work.resolve_owner(self.parent.target, named)

    async def allow_create(self, work: UnitOfWork) -> None:
        """Raise `Forbidden` when the member may not create this at all."""

    async def allow_update(self, work: UnitOfWork, stored: Values) -> None:
        """Raise `Forbidden` when the caller may not change this row at all."""

    def unwritable(self, work: UnitOfWork, stored: Values | None) -> Values:
        """Return what `stored` shows in fields that a caller may believe to change, and cannot.

        A write that sends another value causes a warning; other read-only fields are ignored without one.
        """
        return {name: value for name, (_, value) in self.fixed.items()}

    async def check(self, work: UnitOfWork, values: Values, stored: Values | None, owners: Values) -> Carried | None:
        """Add the faults of rules between fields, and complete `values`, which are valid one by one.

        `stored` is the row before an update, `owners` the columns of the owner.
        """

    async def load(self, work: UnitOfWork, stored: Values) -> Values:
        """Return the fields that other tables hold, as callers write them, for a partial update."""
        return {}

    async def created(self, work: UnitOfWork, row: Values, carried: Carried) -> None:
        """Follow up on an insert."""

    async def modified(self, work: UnitOfWork, before: Values, after: Values, carried: Carried) -> None:
        """Follow up on an update."""

    async def delete(self, work: UnitOfWork, ids: Sequence[int]) -> None:
        """Delete rows of the caller's member, and first what depends on them."""
        await work.delete(self.table, self.table.c.id.in_(ids))

    def fields_of_row(self, row: Values, settings: Settings) -> Values:
        """Return read-only fields that follow from the row and the settings alone."""
        return {}

    async def related(self, connection: AsyncConnection, rows: Sequence[Values]) -> dict[int, Values]:
        """Return read-only fields from other tables, by id of the row."""
        return {}

    async def related_if_asked(self, connection: AsyncConnection, rows: Sequence[Values]) -> Mapping[int, Values]:
        """Return fields of `optional` from other tables, by id of the row; called only when one of them is shown."""
        return {}

    async def delivery_fields(
        self, delivery_stats: DeliveryStats, rows: Sequence[Values], keys: Sequence[str]
    ) -> Mapping[int, Values]:
        """Return those of `keys` that follow from counted events, by id of the row; they override `related`."""
        return {}

    async def delivery_conditions(
        self,
        connection: AsyncConnection,
        delivery_stats: DeliveryStats,
        query: Query,
        where: Sequence[ColumnElement[bool]],
    ) -> Sequence[ColumnElement[bool]]:
        """Return the conditions of a read that follow from counted events; `where` are its others."""
        return ()
