"""An entity: one row of the API's table. Its module gives its fields and rules; `service.py` does the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Table
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.reports.delivery_stats import DeliveryStats
from onebyone.resources.fields import MICROS, Body
from onebyone.resources.unit_of_work import UnitOfWork

Values = dict[str, Any]


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
        """URL name of the target."""
        return self.target.name.replace("_", "-")

    @property
    def nested(self) -> bool:
        """Whether the field is an object with an id."""
        return self.field != self.column

    @property
    def path(self) -> str:
        """How an error names the id."""
        return f"{self.field}.id" if self.nested else self.field


def ranges(fields: Iterable[str]) -> Iterator[str]:
    """The parameters that filter by ranges of these fields."""
    return (f"{prefix}_{field}" for prefix in ("min", "max", "nmin", "nmax") for field in fields)


class Entity:
    """Attributes are data; the methods are the places for rules and do nothing by default."""

    service: ClassVar[str]
    table: ClassVar[Table]
    body: ClassVar[type[Body]]
    output: ClassVar[tuple[str, ...]]
    """Keys of an object in the order of the documents' samples."""
    parent: ClassVar[Reference | None] = None
    """The owner that POST names in the query string; it never changes."""
    references: ClassVar[tuple[Reference, ...]] = ()
    code_owner: ClassVar[str | None] = None
    """Column within whose value codes are unique."""
    methods: ClassVar[tuple[str, ...]] = ("GET", "POST", "PUT", "DELETE")
    immutable: ClassVar[frozenset[str]] = frozenset()
    """Fields that PUT must leave as they are."""
    partial: ClassVar[frozenset[str]] = frozenset()
    """Objects inside the object, alone or in an array, that PUT changes field by field."""
    discriminators: ClassVar[frozenset[str]] = frozenset()
    """Fields that decide which rules the others are under: while one of them is wrong, rules say nothing."""
    derived: ClassVar[Mapping[str, str]] = {}
    """Type words of the fields that `related` gives or that only the server writes (`shapes.py`)."""
    optional: ClassVar[Mapping[str, str]] = {}
    """Fields that are shown only when the query string sets a flag, by name."""
    ranged: ClassVar[frozenset[str]] = frozenset()
    """Fields of the report store that a read can filter by range (`delivery_conditions`)."""
    parameters: ClassVar[Mapping[str, str]] = {}
    """Flags in the query string of this service alone, by name: the method that looks at them."""
    search_column: ClassVar[str] = "name"
    """Column that `search` looks through beside the id."""
    tenant_column: ClassVar[str] = "member_id"

    @property
    def plural(self) -> str:
        """Wrapper of a list."""
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
        """Keys of an object that nothing more was asked of."""
        return tuple(name for name in self.output if name not in self.optional)

    def default(self, field: str) -> Any:
        """What an object shows for a field that its row lacks."""
        found = self.body.model_fields.get(field)
        value = None if found is None or found.is_required() else found.get_default(call_default_factory=True)
        if isinstance(value, BaseModel):
            return value.model_dump()
        return int(value * 10**6) if isinstance(value, Decimal) else value

    def columns(self, values: Values) -> Values:
        """Further columns that follow from the fields."""
        return {}

    async def parents(self, work: UnitOfWork, query: Mapping[str, str]) -> Values:
        """Columns of the owner that the query string of a POST names; adds a fault when there is none."""
        return {} if self.parent is None else await work.owner(self.parent.target, query)

    async def allow_create(self, work: UnitOfWork) -> None:
        """Raises `DomainError` when the member may not create this at all."""

    async def check(self, work: UnitOfWork, values: Values, stored: Values | None, owners: Values) -> None:
        """Adds faults of rules between fields; `values` are valid one by one. `stored` is the row before a PUT,
        `owners` the columns of its owner."""

    async def load(self, work: UnitOfWork, stored: Values) -> Values:
        """Fields of the body that other tables hold, for a partial change."""
        return {}

    async def created(self, work: UnitOfWork, row: Values, query: Mapping[str, str]) -> None:
        """Follows an insert."""

    async def modified(self, work: UnitOfWork, before: Values, after: Values) -> None:
        """Follows an update."""

    async def delete(self, work: UnitOfWork, ids: Sequence[int]) -> None:
        """Deletes rows of the caller's member, and first what depends on them."""
        await work.delete(self.table, self.table.c.id.in_(ids))

    async def related(self, connection: AsyncConnection, rows: Sequence[Values]) -> dict[int, Values]:
        """Read-only fields from other tables, by id of the row."""
        return {}

    async def related_if_asked(self, connection: AsyncConnection, rows: Sequence[Values]) -> Mapping[int, Values]:
        """Fields of `optional` from other tables, by id of the row; not read unless one of them is shown."""
        return {}

    async def delivery_fields(
        self, delivery_stats: DeliveryStats, rows: Sequence[Values], keys: Sequence[str]
    ) -> Mapping[int, Values]:
        """Those of `keys` that the counted events say, by id of the row; they go over what `related` says."""
        return {}

    async def delivery_conditions(
        self,
        connection: AsyncConnection,
        delivery_stats: DeliveryStats,
        query: Mapping[str, str],
        where: Sequence[ColumnElement[bool]],
    ) -> Sequence[ColumnElement[bool]]:
        """What a read asks of the counted events, beside `where`."""
        return ()
