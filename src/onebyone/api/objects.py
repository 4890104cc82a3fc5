"""The services of objects over HTTP: GET, POST, PUT and DELETE with the documented envelopes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from onebyone.api.http import addressing, parameters
from onebyone.api.http.envelope import success
from onebyone.api.http.errors import unsupported_method
from onebyone.api.http.methods import OPERATIONS, entity_methods
from onebyone.api.http.request import ApiRequest, Handler
from onebyone.errors import NotFound, Operation
from onebyone.resources.entity import Entity
from onebyone.resources.meta import describe_fields
from onebyone.resources.paging import PAGE, Page
from onebyone.resources.permissions import require_write
from onebyone.resources.service import Resources, Written


def object_handler(resources: Resources, entity: Entity) -> Handler:
    """Return the handler of an entity's service."""
    return _ObjectHandler(resources, entity).answer


class _ObjectHandler:
    def __init__(self, resources: Resources, entity: Entity) -> None:
        self._resources = resources
        self._entity = entity

    async def answer(self, request: ApiRequest) -> Response:
        if request.method not in entity_methods(self._entity):
            raise unsupported_method(request.method, request.service)
        if request.meta:
            return self._describe(request)
        if request.method == "GET":
            return await self._read(request)
        # First: a caller who may not write must learn that, whatever else is wrong with the request.
        require_write(self._entity, request.caller, OPERATIONS[request.method])
        match request.method:
            case "POST":
                return await self._create(request)
            case "PUT":
                return await self._update(request)
            case _:
                return await self._delete(request)

    def _describe(self, request: ApiRequest) -> Response:
        if request.method != "GET":
            raise unsupported_method(request.method, f"{request.service}/meta")
        return success({"fields": describe_fields(self._entity)}, "fields")

    async def _read(self, request: ApiRequest) -> Response:
        entity = self._entity
        page = parameters.parse_page(request.query)
        own = self._with_own_id(request)
        ids = parameters.parse_ids(own)
        query = parameters.parse_query(own, page)
        if parameters.names_one_object(own):
            shown = await self._resources.get(entity, request.caller, ids[0], query, warnings=request.warnings)
            return self._render_one(page, shown)
        listing = await self._resources.list(entity, request.caller, query, warnings=request.warnings)
        if parameters.names_one_code(own) and entity.code_owner is not None:
            # Codes are unique within an owner: only objects of several owners can be more than one.
            if not listing.total:
                raise NotFound(entity.service, own["code"][:100], key="code")
            if listing.total == 1 and not listing.objects:
                # As with `id`, a page that begins later hides no single object.
                first = parameters.parse_query(own, Page(0, page.size))
                listing = await self._resources.list(entity, request.caller, first)
            if listing.total == 1 and listing.objects:
                return self._render_one(page, listing.objects[0])
        paging = {"start_element": page.start, "num_elements": page.size}
        return success({**paging, entity.plural: listing.objects, "count": listing.total}, entity.plural)

    def _render_one(self, page: Page, shown: Mapping[str, Any]) -> Response:
        paging = {"start_element": page.start, "num_elements": page.size}
        return success({**paging, self._entity.service: shown, "count": 1}, self._entity.service)

    async def _create(self, request: ApiRequest) -> Response:
        query, values, beside = addressing.unwrap_object(self._entity, request.query, request.body)
        self._warn_of_unused(request, query, "create")
        written = await self._resources.create(
            self._entity,
            request.caller,
            values,
            owners=parameters.parse_owners(query),
            flags=parameters.parse_flags(query),
            beside=beside,
            warnings=request.warnings,
        )
        return self._render(written, written.id)

    async def _update(self, request: ApiRequest) -> Response:
        query, values, beside = addressing.unwrap_object(self._entity, self._with_own_id(request), request.body)
        self._warn_of_unused(request, query, "update")
        own = addressing.with_id_of_object(self._entity, query, values)
        flags = parameters.parse_flags(own)
        written = await self._resources.update(
            self._entity,
            request.caller,
            parameters.parse_target(own),
            values,
            append=flags.get("append", False),
            flags=flags,
            beside=beside,
            warnings=request.warnings,
        )
        return self._render(written, own.get("id", str(written.id)))

    async def _delete(self, request: ApiRequest) -> Response:
        own = self._with_own_id(request)
        self._warn_of_unused(request, own, "delete")
        count = await self._resources.delete(self._entity, request.caller, parameters.parse_target(own))
        return success({"count": count, "start_element": None, "num_elements": None})

    def _with_own_id(self, request: ApiRequest) -> Mapping[str, str]:
        return addressing.with_own_ids(self._entity, request.query, request.caller)

    def _warn_of_unused(self, request: ApiRequest, query: Mapping[str, str], operation: Operation) -> None:
        parameters.warn_of_unused(query, addressing.used_parameters(self._entity, operation), request.warnings)

    def _render(self, written: Written, echoed_id: int | str) -> Response:
        fields: dict[str, Any] = {"count": 1, "id": echoed_id, "start_element": 0, "num_elements": PAGE}
        return success({**fields, self._entity.service: written.object}, self._entity.service)
