"""Lists, reads, creates, updates and deletes objects of every entity, for a caller and within the caller's member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.auth.caller import Caller
from onebyone.auth.wrong_passwords import WrongPasswords
from onebyone.errors import MissingArgument, NotFound, raise_faults
from onebyone.reports.delivery_stats import DeliveryStats
from onebyone.resources import codes, filters, object_limits, partial_update, permissions, reader, validation
from onebyone.resources.context import EngineContext
from onebyone.resources.entity import Carried, Entity, Values
from onebyone.resources.other_side import hide_other_side
from onebyone.resources.owners import owner_columns, take_owner, warn_of_kept_ids, warn_of_other_owners
from onebyone.resources.paging import Page, Query
from onebyone.resources.sorting import SortKey, sort_keys
from onebyone.resources.unit_of_work import UnitOfWork, WriteRequest, begin_write
from onebyone.runtime import sql

_log = structlog.get_logger()

Warnings = list[str]
"""Sentences that the engine adds for the caller; they refuse nothing. A call that fails may have added some as well."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list, and how many objects the whole list has."""

    total: int
    objects: Sequence[Values]
    page: Page


@dataclass(frozen=True, slots=True)
class Written:
    """An object after it was created or updated."""

    id: int
    object: Values


@dataclass(frozen=True, slots=True)
class Target:
    """The objects to write: by id, or one by its code. An owner that is named must be theirs."""

    ids: Sequence[int] = ()
    code: str | None = None
    """Used when there are no ids."""
    owners: Mapping[str, str] = field(default_factory=dict)
    """Parameter -> id or code of an owner: `{"advertiser_id": "5"}` or `{"advertiser_code": "A1"}`."""


class Resources:
    """The objects of one configuration store. Methods raise `DomainError`; each write happens whole or not at all."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._wrong_passwords = WrongPasswords()

    async def list(
        self, entity: Entity, caller: Caller, query: Query | None = None, *, warnings: Warnings | None = None
    ) -> Listing:
        """Return a page of the objects that the caller sees and the query matches."""
        query = query or Query()
        read = _Read(self._context, entity, caller, query, [] if warnings is None else warnings)
        async with sql.reading(self._context.store) as connection:
            total, objects = await reader.read_page(
                connection,
                entity,
                caller.member_id,
                await read.conditions(connection),
                read.order,
                query.page,
                read.fields,
                read.delivery_stats,
                self._context.settings,
            )
        shown = [hide_other_side(entity, caller, values) for values in objects]
        return Listing(total, shown, query.page)

    async def get(
        self,
        entity: Entity,
        caller: Caller,
        object_id: int,
        query: Query | None = None,
        *,
        warnings: Warnings | None = None,
    ) -> Values:
        """Return one object. Raise `NotFound` unless the caller sees it and the query matches it."""
        read = _Read(self._context, entity, caller, query or Query(), [] if warnings is None else warnings)
        async with sql.reading(self._context.store) as connection:
            where = [entity.table.c.id == object_id, *await read.conditions(connection)]
            objects = await reader.read_objects(
                connection,
                entity,
                caller.member_id,
                where,
                read.fields,
                read.delivery_stats,
                self._context.settings,
            )
        if object_id not in objects:
            raise NotFound(entity.service, object_id)
        return hide_other_side(entity, caller, objects[object_id])

    async def create(
        self,
        entity: Entity,
        caller: Caller,
        values: Mapping[str, Any] | None,
        *,
        owners: Mapping[str, str] | None = None,
        flags: Mapping[str, bool] | None = None,
        beside: Sequence[str] = (),
        warnings: Warnings | None = None,
    ) -> Written:
        """Create an object with these fields under the owner named by `owners`, as in `Target`, or by the fields.

        Each name in `beside`, sent with the object, causes a warning. None for `values` stands for a request without an
        object: it raises `MissingArgument`, but only when the caller may create one at all. Raise `Refused` with every
        fault, `Forbidden`, `NotFound`, `Conflict` or `LimitReached`.
        """
        permissions.require_write(entity, caller, "create")
        request = self._write_request(caller, values, flags)
        async with begin_write(self._context, request, [] if warnings is None else warnings) as work:
            await entity.allow_create(work)
            limit = self._context.settings.limits.get(entity.service)
            await object_limits.require_room(work.connection, entity, work.member_id, limit)
            if values is None:
                raise MissingArgument("create", entity.service, "object")
            owners, values = take_owner(entity, values, owners or {})
            sent = validation.known_fields(entity, work, values, beside, None)
            named = await codes.resolve_owner_codes(work.connection, caller, owners, strict=True)
            parents = await entity.parents(work, named)
            warn_of_other_owners(entity, values, parents, work.warnings)
            permissions.require_owner(caller, parents)
            valid, carried = await validation.validate(entity, work, sent, parents, None)
            row: Values = {}
            if valid is not None and not work.faults:
                row = {**validation.row_columns(entity, valid, {}), **parents}
                await validation.check_code(entity, work, {**row, "member_id": work.member_id}, None)
            raise_faults(work.faults)
            row["id"] = await work.insert(entity.table, row)
            await entity.created(work, row, carried)
            raise_faults(work.faults)
            return await self._written(entity, work, row["id"], caller)

    async def update(
        self,
        entity: Entity,
        caller: Caller,
        target: Target,
        values: Mapping[str, Any] | None,
        *,
        append: bool = False,
        flags: Mapping[str, bool] | None = None,
        beside: Sequence[str] = (),
        warnings: Warnings | None = None,
    ) -> Written:
        """Change the fields of one object that `values` has; `append` merges arrays instead of replacing them.

        Raise as `create` does, and `MissingArgument` for no id or several.
        """
        permissions.require_write(entity, caller, "update")
        request = self._write_request(caller, values, flags)
        async with begin_write(self._context, request, [] if warnings is None else warnings) as work:
            ids, owners = await _resolve_target(entity, work, target, caller)
            if len(ids) != 1:
                raise MissingArgument("update", entity.service, "id")
            stored = await _stored_row(entity, work, ids[0], owners, caller)
            await entity.allow_update(work, stored)
            if values is None:
                raise MissingArgument("update", entity.service, "object")
            sent = validation.known_fields(entity, work, values, beside, stored)
            warn_of_kept_ids(entity, values, stored, work.warnings)
            row, carried = await _updated_columns(entity, work, stored, sent, append=append)
            raise_faults(work.faults)
            await work.update(entity.table, stored["id"], row)
            await entity.modified(work, stored, {**stored, **row}, carried)
            raise_faults(work.faults)
            return await self._written(entity, work, stored["id"], caller)

    async def delete(self, entity: Entity, caller: Caller, target: Target) -> int:
        """Delete objects and what depends on them; return how many were named.

        Raise `NotFound` for any that the caller does not see, `Refused` when others still use one, or `Forbidden`.
        """
        permissions.require_write(entity, caller, "delete")
        async with begin_write(self._context, self._write_request(caller, None, None), []) as work:
            ids, owners = await _resolve_target(entity, work, target, caller)
            if not ids:
                raise MissingArgument("delete", entity.service, "id")
            for row_id in ids:
                await _stored_row(entity, work, row_id, owners, caller)
            await entity.delete(work, ids)
            raise_faults(work.faults)
        return len(ids)

    async def _written(self, entity: Entity, work: UnitOfWork, row_id: int, caller: Caller) -> Written:
        objects = await reader.read_objects(
            work.connection,
            entity,
            work.member_id,
            [entity.table.c.id == row_id],
            None,
            self._context.delivery_stats(work.member_id),
            self._context.settings,
        )
        return Written(row_id, hide_other_side(entity, caller, objects[row_id]))

    def _write_request(
        self, caller: Caller, values: Mapping[str, Any] | None, flags: Mapping[str, bool] | None
    ) -> WriteRequest:
        if caller.acting_admin_id is not None:
            _log.info("an admin writes as another user", admin=caller.acting_admin_id, user=caller.user_id)
        return WriteRequest(
            caller.member_id,
            caller=caller,
            wrong_passwords=self._wrong_passwords,
            sent=frozenset(values or ()),
            flags=flags or {},
            edge_url=self._context.settings.edge_url,
            documented_publisher_rules=self._context.settings.publisher_rules == "documented",
        )


class _Read:
    """What the reads of one object and of a list have in common. Raises before any statement is run."""

    def __init__(
        self, context: EngineContext, entity: Entity, caller: Caller, query: Query, warnings: Warnings
    ) -> None:
        self._entity, self._caller, self._query, self._warnings = entity, caller, query, warnings
        self.fields: Sequence[str] = reader.shown_fields(entity, query, warnings)
        self.order: Sequence[SortKey] = sort_keys(entity, query.sort)
        self._visible = permissions.visible_rows(entity, caller)
        self.delivery_stats: DeliveryStats = context.delivery_stats(caller.member_id)

    async def conditions(self, connection: AsyncConnection) -> Sequence[ColumnElement[bool]]:
        """Return what the rows must meet."""
        entity, member_id = self._entity, self._caller.member_id
        parameters = await codes.resolve_owner_codes(connection, self._caller, self._query.filters, strict=False)
        where = [*filters.filter_conditions(entity, member_id, parameters, self._warnings), *self._visible]
        return [*where, *await entity.delivery_conditions(connection, self.delivery_stats, self._query, where)]


async def _resolve_target(
    entity: Entity, work: UnitOfWork, target: Target, caller: Caller
) -> tuple[Sequence[int], Mapping[str, str]]:
    """Return the ids of the objects to write, and the owners by id."""
    owners = await codes.resolve_owner_codes(work.connection, caller, target.owners, strict=True)
    if target.ids or target.code is None or "code_key" not in entity.table.c:
        return target.ids, owners
    return [await codes.resolve_code(work.connection, entity, caller, target.code, owners)], owners


async def _stored_row(
    entity: Entity, work: UnitOfWork, row_id: int, owners: Mapping[str, str], caller: Caller
) -> Values:
    """Return the row to write. Raise `NotFound` unless it is of the named owner and the caller sees it."""
    stored = await work.find_row(entity.table, row_id)
    if stored is None:
        raise NotFound(entity.service, row_id)
    for column in owner_columns(entity):
        if column in owners and stored[column] not in codes.parse_owner_ids(column, owners[column]):
            raise NotFound(entity.service, row_id)
    if not permissions.is_visible(entity, caller, stored):
        raise NotFound(entity.service, row_id)
    return stored


async def _updated_columns(
    entity: Entity, work: UnitOfWork, stored: Values, sent: Values, *, append: bool
) -> tuple[Values, Carried]:
    """Return the columns after an update; add the faults that refuse it."""
    before = {**validation.stored_values(entity, stored), **await entity.load(work, stored)}
    for path in partial_update.unknown_elements(entity, before, sent):
        work.conflict(path, f"no such element of {entity.service} {stored['id']}")
    known = {name: value for name, value in sent.items() if not any(f.path.startswith(f"{name}.") for f in work.faults)}
    merged = partial_update.merge_update(entity, before, known, append=append)
    owners = {} if entity.parent is None else {entity.parent.column: stored[entity.parent.column]}
    valid, carried = await validation.validate(entity, work, merged, owners, stored)
    work.faults = [replace(f, path=partial_update.sent_path(known, merged, f.path)) for f in work.faults]
    for name in entity.immutable & sent.keys():
        if valid is not None and valid[name] != before.get(name, entity.default(name)):
            work.conflict(name, "cannot be changed")
    row: Values = {}
    if valid is not None and not work.faults:
        row = validation.row_columns(entity, valid, stored["doc"])
        await validation.check_code(entity, work, {**stored, **row}, stored["id"])
    return row, carried
