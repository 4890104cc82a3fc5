"""One write: a transaction limited to a member, the faults found in it, and the records that it changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, bindparam, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.auth.caller import Caller
from onebyone.config_store import tables
from onebyone.contracts import keys
from onebyone.contracts.events import Kind
from onebyone.errors import Conflict, Fault, NotFound
from onebyone.reports.delivery_stats import DeliveryStats
from onebyone.resources.context import ApiContext
from onebyone.resources.fields import MAX_ID
from onebyone.runtime import sql

KEYS_A_VERSION = 1000
"""A change of more records than this is published as several versions, so that no message grows without bound."""

_TURN = select(tables.store_state.c.version).with_for_update()
"""What a writer waits for on PostgreSQL; SQLite has one writer at a time anyhow."""


def timestamp(ms: int) -> str:
    """UTC text of the store."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


@cache
def _row(table: Table) -> Select[Any]:
    """A member's row; made once, because the statement costs more than the row."""
    scope = table.c.id if table is tables.member else table.c.member_id
    return select(table).where(scope == bindparam("member"), table.c.id == bindparam("row"))


class UnitOfWork:
    """What rules write with. Every statement that it builds is limited to `member_id`."""

    def __init__(
        self, connection: AsyncConnection, member_id: int, now_ms: int, delivery_stats: DeliveryStats | None = None
    ) -> None:
        self.connection = connection
        self.member_id = member_id
        self.delivery_stats = delivery_stats
        """The counted events of the member; None where no rule asks for them."""
        self.now_ms = now_ms
        self.now = timestamp(now_ms)
        self.faults: list[Fault] = []
        self.refused = False
        """Whether the body has faults already, and rules only look for more of them."""
        self.admin = False
        """Whether the caller is an admin."""
        self.documented = False
        """Whether publishers are under the documented rules, and not those of recorded answers."""
        self.query: Mapping[str, str] = {}
        """The query string."""
        self.given: dict[str, Any] = {}
        """The fields of the body as they were sent."""
        self.carried: dict[str, Any] = {}
        """What `check` keeps for `created` and `modified`: values that no column of the row holds."""
        self._changed: dict[str, None] = {}

    @property
    def changed(self) -> list[str]:
        """Redis keys of the records that must be published again."""
        return list(self._changed)

    def fault(self, path: str, text: str) -> None:
        """Adds a contradiction to other objects."""
        self.faults.append(Fault(path, text, "conflict"))

    def bad(self, path: str, text: str) -> None:
        """Adds a bad value."""
        self.faults.append(Fault(path, text))

    def tracker_changed(self, kind: Kind, tracker_id: int) -> None:
        """The record of this tracker must be published again."""
        self._changed[keys.tracker(kind, tracker_id)] = None

    def member_changed(self) -> None:
        """The record of the member must be published again."""
        self._changed[keys.member(self.member_id)] = None

    async def trackers_changed(self, column: str, values: Select[Any] | int) -> None:
        """The records of all trackers whose `column` is one of `values` must be published again."""
        for kind, table in tables.TRACKER_TABLES.items():
            found = select(table.c.id).where(
                table.c.member_id == self.member_id,
                table.c[column].in_([values] if isinstance(values, int) else values),
            )
            for tracker_id in await self.connection.scalars(found):
                self.tracker_changed(kind, tracker_id)

    async def tracked(self, condition: str, ids: Any) -> bool:
        """Whether a tracker's column `condition` holds one of `ids` (a list or a subquery)."""
        return any([await self.has(table, table.c[condition].in_(ids)) for table in tables.TRACKER_TABLES.values()])

    async def has(self, table: Table, *where: ColumnElement[bool]) -> bool:
        """Whether the member has such a row."""
        found = select(exists().where(table.c.member_id == self.member_id, *where))
        return bool(await self.connection.scalar(found))

    async def row(self, table: Table, row_id: int) -> dict[str, Any] | None:
        """The member's row with this id."""
        found = await self.connection.execute(_row(table), {"member": self.member_id, "row": row_id})
        row = found.mappings().first()
        return None if row is None else dict(row)

    async def member(self) -> dict[str, Any]:
        """The member's own row."""
        row = await self.row(tables.member, self.member_id)
        assert row is not None, "members are never deleted"  # noqa: S101
        return row

    async def owner(self, table: Table, query: Mapping[str, str]) -> dict[str, int]:
        """`{"<table>_id": id}` as the query string names it; a fault when it is missing, malformed or not there."""
        column = f"{table.name}_id"
        text = query.get(column, "")
        if not text:
            self.faults.append(Fault(column, "required in the query string"))
        elif not (text.isascii() and text.isdigit()) or int(text[:20]) > MAX_ID:
            self.faults.append(Fault(column, "not an id"))
        elif await self.row(table, int(text)) is None:
            self.faults.append(Fault(column, str(NotFound(table.name.replace("_", "-"), int(text)))))
        else:
            return {column: int(text)}
        return {}

    async def insert(self, table: Table, values: Mapping[str, Any]) -> int:
        """Inserts a row of the member and returns its id."""
        row = {"member_id": self.member_id, "last_modified": self.now, **values}
        found = await self.connection.execute(insert(table).values(row).returning(table.c.id))
        return int(found.scalar_one())

    async def update(self, table: Table, row_id: int, values: Mapping[str, Any]) -> None:
        """Changes one row of the member and stamps it."""
        scope = table.c.id if table is tables.member else table.c.member_id
        row = {"last_modified": self.now, **values}
        await self.connection.execute(update(table).where(scope == self.member_id, table.c.id == row_id).values(row))

    async def part_id(self) -> int:
        """A new id for a part of an object."""
        state = tables.store_state
        bump = update(state).values(part_id=state.c.part_id + 1).returning(state.c.part_id)
        return int(await self.connection.scalar(bump) or 0)

    async def delete(self, table: Table, *where: ColumnElement[bool]) -> None:
        """Deletes rows of the member."""
        await self.connection.execute(delete(table).where(table.c.member_id == self.member_id, *where))

    async def record(self) -> None:
        """Gives the changed records their versions in the outbox."""
        changed = self.changed
        for start in range(0, len(changed), KEYS_A_VERSION):
            state = tables.store_state
            bump = update(state).values(version=state.c.version + 1).returning(state.c.version)
            version = await self.connection.scalar(bump)
            group = " ".join(changed[start : start + KEYS_A_VERSION])
            row = {"version": version, "keys": group, "created_ms": self.now_ms}
            await self.connection.execute(insert(tables.outbox).values(row))


@asynccontextmanager
async def writing(context: ApiContext, caller: Caller) -> AsyncIterator[UnitOfWork]:
    """A write that commits at the end of the block, or not at all, and then wakes the publisher.

    Writers take turns from the first statement on, so that what a rule has read still holds when it commits.
    """
    try:
        async with sql.writing(context.store) as connection:
            if connection.dialect.name == "postgresql":
                await connection.execute(_TURN)
            work = UnitOfWork(connection, caller.member_id, context.clock(), context.delivery_stats(caller.member_id))
            work.admin = caller.admin
            work.documented = context.settings.publisher_rules == "documented"
            yield work
            await work.record()
    except IntegrityError as error:
        raise Conflict("the request contradicts another object") from error
    if work.changed:
        context.publisher.wake()
