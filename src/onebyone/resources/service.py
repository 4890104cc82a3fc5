"""The one service behind every entity: GET, POST, PUT and DELETE with the documented envelopes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from onebyone.api.http.envelope import success
from onebyone.api.http.errors import unsupported_method
from onebyone.api.http.request import ApiRequest
from onebyone.auth.caller import Caller
from onebyone.errors import Fault, NotFound, Refused, raise_faults
from onebyone.resources import codes, filters, meta, object_limits, partial_update, permissions, reader, validation
from onebyone.resources import paging as queries
from onebyone.resources.context import ApiContext
from onebyone.resources.entity import Entity, Values
from onebyone.resources.unit_of_work import UnitOfWork, writing
from onebyone.runtime import sql


class Service:
    """Answers requests for one entity; every statement is limited to the caller's member."""

    def __init__(self, context: ApiContext, entity: Entity) -> None:
        self._context = context
        self._entity = entity

    async def __call__(self, request: ApiRequest) -> Response:
        """Raises `DomainError`."""
        if request.method not in self._entity.methods:
            raise unsupported_method(request.method, request.service)
        if request.meta:
            return self._meta(request)
        match request.method:
            case "GET":
                return await self._read(request)
            case "POST":
                return await self._create(request)
            case "PUT":
                return await self._modify(request)
            case _:
                return await self._delete(request)

    def _meta(self, request: ApiRequest) -> Response:
        if request.method != "GET":
            raise unsupported_method(request.method, f"{request.service}/meta")
        return success({"fields": meta.describe_fields(self._entity)}, "fields")

    async def _read(self, request: ApiRequest) -> Response:
        entity = self._entity
        page = queries.page(request.query)
        own = self._own(request)
        wanted = queries.ids(own)
        keys = queries.keys(entity, own)
        order = filters.parse_sort(entity, own)
        visible = permissions.visible_rows(entity, request.caller)
        member_id = request.caller.member_id
        paging = {"start_element": page.start, "num_elements": page.size}
        async with sql.reading(self._context.store) as connection:
            query = await codes.resolve_owner_codes(connection, member_id, own, strict=False)
            where = [*filters.conditions(entity, member_id, query), *visible]
            delivery_stats = self._context.delivery_stats(member_id)
            where += await entity.delivery_conditions(connection, delivery_stats, query, where)
            if not queries.is_list(query):
                one = await reader.read_objects(connection, entity, member_id, where, keys, delivery_stats)
                if not one:
                    raise NotFound(entity.service, wanted[0])
                return success({**paging, entity.service: one[wanted[0]], "count": 1}, entity.service)
            total, found = await reader.read_page(
                connection, entity, member_id, where, order, page, keys, delivery_stats
            )
        return success({**paging, entity.plural: found, "count": total}, entity.plural)

    def _own(self, request: ApiRequest) -> Mapping[str, str]:
        """`user?current` and a bare `member` mean the caller's own."""
        if request.service == "user" and "current" in request.query:
            return {"id": str(request.caller.user_id)}
        if request.service == "member" and "id" not in request.query:
            return {"id": str(request.caller.member_id)}
        return request.query

    async def _create(self, request: ApiRequest) -> Response:
        entity = self._entity
        permissions.require_write(entity, request.caller, "POST")
        async with writing(self._context, request.caller) as work:
            await entity.allow_create(work)
            limit = self._context.settings.limits.get(entity.service)
            await object_limits.require_room(work.connection, entity, work.member_id, limit)
            given = validation.unwrap(entity, request.body)
            query = await codes.resolve_owner_codes(work.connection, work.member_id, request.query, strict=True)
            owners = await entity.parents(work, query)
            permissions.require_owner(request.caller, owners)
            work.given = given
            values = await validation.validate(entity, work, given, owners, None)
            row: Values = {}
            if values is not None and not work.faults:
                row = {**validation.columns(entity, values, {}), **owners}
                await validation.check_code(entity, work, {**row, "member_id": work.member_id}, None)
            raise_faults(work.faults)
            row["id"] = await work.insert(entity.table, row)
            await entity.created(work, row, request.query)
            raise_faults(work.faults)
            shown = await self._shown(work, row["id"])
        return self._written(row["id"], shown)

    async def _modify(self, request: ApiRequest) -> Response:
        entity = self._entity
        own = self._own(request)
        permissions.require_write(entity, request.caller, "PUT")
        async with writing(self._context, request.caller) as work:
            query, wanted = await self._addressed(work, own)
            if len(wanted) != 1:
                raise Refused(Fault("id", "one id is required in the query string"))
            stored = await self._stored(work, wanted[0], query, request.caller)
            given = validation.unwrap(entity, request.body)
            work.given, work.query = given, query
            before = {**validation.stored_values(entity, stored), **await entity.load(work, stored)}
            merged = partial_update.merge(entity, before, given, append=queries.flag(query, "append"))
            owners = {} if entity.parent is None else {entity.parent.column: stored[entity.parent.column]}
            values = await validation.validate(entity, work, merged, owners, stored)
            for name in entity.immutable & given.keys():
                if values is not None and values[name] != before.get(name, entity.default(name)):
                    work.fault(name, "cannot be changed")
            row: Values = {}
            if values is not None and not work.faults:
                row = validation.columns(entity, values, stored["doc"])
                await validation.check_code(entity, work, {**stored, **row}, wanted[0])
            raise_faults(work.faults)
            await work.update(entity.table, wanted[0], row)
            await entity.modified(work, stored, {**stored, **row})
            raise_faults(work.faults)
            shown = await self._shown(work, wanted[0])
        return self._written(own.get("id", str(wanted[0])), shown)

    async def _delete(self, request: ApiRequest) -> Response:
        permissions.require_write(self._entity, request.caller, "DELETE")
        async with writing(self._context, request.caller) as work:
            query, wanted = await self._addressed(work, request.query)
            if not wanted:
                raise Refused(Fault("id", "required in the query string"))
            for row_id in wanted:
                await self._stored(work, row_id, query, request.caller)
            await self._entity.delete(work, wanted)
            raise_faults(work.faults)
        return success({"count": len(wanted), "start_element": None, "num_elements": None})

    async def _addressed(self, work: UnitOfWork, query: Mapping[str, str]) -> tuple[Mapping[str, str], list[int]]:
        """The query string with owners by id, and the ids of the objects to write."""
        found = await codes.resolve_owner_codes(work.connection, work.member_id, query, strict=True)
        if "id" not in found and "code" in found and "code_key" in self._entity.table.c:
            return found, await codes.resolve_code(work.connection, self._entity, work.member_id, found)
        return found, queries.ids(found)

    async def _stored(self, work: UnitOfWork, row_id: int, query: Mapping[str, str], caller: Caller) -> Values:
        """The row to change; an owner in the query string must be its owner."""
        stored = await work.row(self._entity.table, row_id)
        parent = self._entity.parent
        named = None if parent is None else query.get(parent.column)
        if stored is None or (parent and named is not None and str(stored[parent.column]) not in named.split(",")):
            raise NotFound(self._entity.service, row_id)
        if not permissions.is_visible(self._entity, caller, stored):
            raise NotFound(self._entity.service, row_id)
        return stored

    async def _shown(self, work: UnitOfWork, row_id: int) -> Values:
        where = [self._entity.table.c.id == row_id]
        found = await reader.read_objects(
            work.connection, self._entity, work.member_id, where, delivery_stats=work.delivery_stats
        )
        return found[row_id]

    def _written(self, echoed: int | str, shown: Values) -> Response:
        service = self._entity.service
        fields: dict[str, Any] = {"count": 1, "id": echoed, "start_element": 0, "num_elements": queries.PAGE}
        return success({**fields, service: shown}, service)
