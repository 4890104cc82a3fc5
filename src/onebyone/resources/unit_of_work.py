"""One write: a transaction limited to a member, the faults found in it, and the records to publish after it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, bindparam, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.auth.caller import Caller
from onebyone.auth.wrong_passwords import WrongPasswords
from onebyone.config_store import tables
from onebyone.contracts import keys
from onebyone.contracts.events import Kind
from onebyone.errors import Conflict, Fault, NotFound
from onebyone.reports.delivery_stats import DeliveryStats
from onebyone.resources.context import EngineContext
from onebyone.resources.fields import parse_id
from onebyone.runtime import sql

KEYS_PER_VERSION = 1000
"""A change of more records is published as several versions, so that no message grows without bound."""

_WRITER_LOCK = select(tables.store_state.c.version).with_for_update()
"""The row that PostgreSQL's writers wait for; SQLite has one writer at a time in any case."""


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """What rules may know of a write besides the values of its fields."""

    member_id: int
    caller: Caller | None = None
    """None for the operator, who writes without a session."""
    wrong_passwords: WrongPasswords = field(default_factory=WrongPasswords)
    sent: frozenset[str] = frozenset()
    """Names of the fields that were sent: others have their defaults or what is stored."""
    flags: Mapping[str, bool] = field(default_factory=dict)
    """Flags of the entity that are set or unset."""
    edge_url: str = ""
    """Base URL of tags; empty for the operator, who is shown none."""
    documented_publisher_rules: bool = False
    """Whether publishers follow the documented rules instead of those of recorded answers."""

    @property
    def admin(self) -> bool:
        """Whether the caller is an admin."""
        return self.caller is not None and self.caller.admin


def timestamp(ms: int) -> str:
    """Return milliseconds since the epoch as the store's text in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


@cache
def _row_query(table: Table) -> Select[Any]:
    """Return the query of a member's row; built once, because building it costs more than running it."""
    tenant = table.c.id if table is tables.member else table.c.member_id
    return select(table).where(tenant == bindparam("member"), table.c.id == bindparam("row"))


class UnitOfWork:
    """Reads and writes for rules; every statement that it builds is limited to the member of the request."""

    def __init__(
        self,
        connection: AsyncConnection,
        request: WriteRequest,
        now_ms: int,
        delivery_stats: DeliveryStats | None = None,
        warnings: list[str] | None = None,
    ) -> None:
        self.connection = connection
        self.request = request
        self.member_id = request.member_id
        self.now_ms = now_ms
        self.now = timestamp(now_ms)
        self.delivery_stats = delivery_stats
        """The counted events of the member; None where no rule asks for them."""
        self.faults: list[Fault] = []
        self.warnings = [] if warnings is None else warnings
        self._dry = False
        self._changed_keys: dict[str, None] = {}

    @property
    def changed_keys(self) -> list[str]:
        """Redis keys of the records to publish again."""
        return list(self._changed_keys)

    @property
    def may_succeed(self) -> bool:
        """Whether no fault has been found so far; work for the stored row alone can wait until then."""
        return not self.faults and not self._dry

    def invalid(self, path: str, text: str) -> None:
        """Add the fault of a value that is wrong by itself."""
        self.faults.append(Fault(path, text))

    def conflict(self, path: str, text: str) -> None:
        """Add the fault of a value that contradicts other objects."""
        self.faults.append(Fault(path, text, "conflict"))

    def warn(self, text: str) -> None:
        """Add a warning for the caller; it refuses nothing."""
        self.warnings.append(text)

    @contextmanager
    def dry_run(self) -> Iterator[list[Fault]]:
        """Collect the faults of further rules apart from those before, in a request that is refused in any case."""
        before, self.faults, self._dry = self.faults, [], True
        collected = self.faults
        try:
            yield collected
        finally:
            self.faults = before

    def republish_tracker(self, kind: Kind, tracker_id: int) -> None:
        """Publish the record of this tracker after the write."""
        self._changed_keys[keys.tracker_key(kind, tracker_id)] = None

    def republish_member(self) -> None:
        """Publish the record of the member after the write."""
        self._changed_keys[keys.member_key(self.member_id)] = None

    async def republish_trackers(self, column: str, values: Select[Any] | int) -> None:
        """Publish the records of all trackers whose `column` is one of `values` (an id or a subquery)."""
        for kind, table in tables.TRACKER_TABLES.items():
            query = select(table.c.id).where(
                table.c.member_id == self.member_id,
                table.c[column].in_([values] if isinstance(values, int) else values),
            )
            for tracker_id in await self.connection.scalars(query):
                self.republish_tracker(kind, tracker_id)

    async def is_tracked(self, column: str, ids: Any) -> bool:
        """Return whether `column` of any tracker holds one of `ids` (a list or a subquery)."""
        return any([await self.exists(table, table.c[column].in_(ids)) for table in tables.TRACKER_TABLES.values()])

    async def exists(self, table: Table, *where: ColumnElement[bool]) -> bool:
        """Return whether the member has such a row."""
        query = select(exists().where(table.c.member_id == self.member_id, *where))
        return bool(await self.connection.scalar(query))

    async def find_row(self, table: Table, row_id: int) -> dict[str, Any] | None:
        """Return the member's row with this id."""
        result = await self.connection.execute(_row_query(table), {"member": self.member_id, "row": row_id})
        row = result.mappings().first()
        return None if row is None else dict(row)

    async def member_row(self) -> dict[str, Any]:
        """Return the member's own row."""
        row = await self.find_row(tables.member, self.member_id)
        assert row is not None, "members are never deleted"  # noqa: S101
        return row

    async def resolve_owner(self, table: Table, named: Mapping[str, str]) -> dict[str, int]:
        """Return `{"<table>_id": id}` of the owner that the caller named; add a fault when there is none."""
        column = f"{table.name}_id"
        text = named.get(column, "")
        if not text:
            self.faults.append(Fault(column, "required", "no owner"))
        elif (owner_id := parse_id(text)) is None:
            self.invalid(column, "not an id")
        elif await self.find_row(table, owner_id) is None:
            self.invalid(column, str(NotFound(table.name.replace("_", "-"), owner_id)))
        else:
            return {column: owner_id}
        return {}

    async def insert(self, table: Table, values: Mapping[str, Any]) -> int:
        """Insert a row of the member, stamp it, and return its id."""
        row = {"member_id": self.member_id, "last_modified": self.now, **values}
        result = await self.connection.execute(insert(table).values(row).returning(table.c.id))
        return int(result.scalar_one())

    async def update(self, table: Table, row_id: int, values: Mapping[str, Any]) -> None:
        """Change one row of the member and stamp it."""
        tenant = table.c.id if table is tables.member else table.c.member_id
        row = {"last_modified": self.now, **values}
        await self.connection.execute(update(table).where(tenant == self.member_id, table.c.id == row_id).values(row))

    async def delete(self, table: Table, *where: ColumnElement[bool]) -> None:
        """Delete rows of the member."""
        await self.connection.execute(delete(table).where(table.c.member_id == self.member_id, *where))

    async def new_part_id(self) -> int:
        """Return a new id for a part of an object, such as a budget interval."""
        state = tables.store_state
        bump = update(state).values(part_id=state.c.part_id + 1).returning(state.c.part_id)
        return int(await self.connection.scalar(bump) or 0)

    async def record_changes(self) -> None:
        """Give the changed records their versions in the outbox, from which the publisher reads them."""
        changed = self.changed_keys
        for start in range(0, len(changed), KEYS_PER_VERSION):
            state = tables.store_state
            bump = update(state).values(version=state.c.version + 1).returning(state.c.version)
            version = await self.connection.scalar(bump)
            group = " ".join(changed[start : start + KEYS_PER_VERSION])
            row = {"version": version, "keys": group, "created_ms": self.now_ms}
            await self.connection.execute(insert(tables.outbox).values(row))


@asynccontextmanager
async def begin_write(context: EngineContext, request: WriteRequest, warnings: list[str]) -> AsyncIterator[UnitOfWork]:
    """Run the block in one transaction, and wake the publisher after the commit; an error rolls everything back.

    Writers take turns from the first statement on, so that what a rule has read still holds at the commit. Raise
    `Conflict` when the store itself refuses a link.
    """
    try:
        async with sql.writing(context.store) as connection:
            if connection.dialect.name == "postgresql":
                await connection.execute(_WRITER_LOCK)
            delivery_stats = context.delivery_stats(request.member_id)
            work = UnitOfWork(connection, request, context.clock(), delivery_stats, warnings)
            yield work
            await work.record_changes()
    except IntegrityError as error:
        raise Conflict("the request contradicts another object") from error
    if work.changed_keys:
        context.publisher.wake()
