"""The read-only services over HTTP: look-ups, object limits, currencies, labels and ad servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from onebyone.api.http import parameters
from onebyone.api.http.envelope import success
from onebyone.api.http.errors import unsupported_method
from onebyone.api.http.request import ApiRequest, Handler
from onebyone.errors import NotFound
from onebyone.resources.context import EngineContext
from onebyone.resources.entity import Entity
from onebyone.resources.lists.catalogue import CATALOGUES, Catalogue, Rows, with_rates
from onebyone.resources.lists.label_values import read_label_values
from onebyone.resources.lists.lookup import OWNERS, look_up
from onebyone.resources.object_limits import ObjectLimit, read_object_limits

_LIST_PARAMETERS = ("start_element", "num_elements", "member_id")


def list_handlers(context: EngineContext, entities: Mapping[str, Entity]) -> dict[str, Handler]:
    """Return the handlers by service name; `entities` are those whose limits are shown, by service."""
    handlers = _ListHandlers(context, entities)
    return {
        "object-limit": handlers.object_limit,
        "lookup": handlers.lookup,
        **{catalogue.service: _CatalogueHandler(context, catalogue).answer for catalogue in CATALOGUES},
    }


def _require_get(request: ApiRequest) -> None:
    if request.method != "GET":
        raise unsupported_method(request.method, request.service)


class _ListHandlers:
    def __init__(self, context: EngineContext, entities: Mapping[str, Entity]) -> None:
        self._context = context
        self._entities = entities

    async def lookup(self, request: ApiRequest) -> Response:
        """Answer with ids and names of objects: of one `type`, or of what belongs to one `advertiser_id`."""
        _require_get(request)
        parameters.warn_of_unused(request.query, ("type", "member_id", *OWNERS), request.warnings)
        owners = {name: request.query[name] for name in OWNERS if name in request.query}
        rows = await look_up(self._context.store, request.caller, request.query.get("type", ""), owners)
        results = {name: {"results": found or None, "num_elements": len(found)} for name, found in rows.items()}
        total = sum(map(len, rows.values()))
        return success({"num_elements": total, "start_element": 0, "results": results}, "results")

    async def object_limit(self, request: ApiRequest) -> Response:
        """Answer with the limit that `?object_type=line_item` names, or without a type with all of them."""
        _require_get(request)
        parameters.warn_of_unused(request.query, ("object_type", "member_id"), request.warnings)
        service = request.query.get("object_type", "").replace("_", "-")
        limits = await read_object_limits(self._context, self._entities, request.caller, service)
        paging = {"count": None, "start_element": None, "num_elements": None}
        return success({**paging, "object-limits": [_render_limit(limit) for limit in limits]}, "object-limits")


def _render_limit(limit: ObjectLimit) -> dict[str, Any]:
    return {
        "object_type": limit.object_type,
        "limit": limit.limit,
        "mapping_limits": limit.mapping_limits or [],
        "count_active": limit.active,
        "count_inactive": limit.inactive,
        "count_total": None if limit.active is None or limit.inactive is None else limit.active + limit.inactive,
    }


class _CatalogueHandler:
    def __init__(self, context: EngineContext, catalogue: Catalogue) -> None:
        self._context = context
        self._catalogue = catalogue

    async def answer(self, request: ApiRequest) -> Response:
        """Answer with a page of the list, or with one row when the query string has one key."""
        _require_get(request)
        catalogue = self._catalogue
        used = (catalogue.key, *catalogue.parameters, *_LIST_PARAMETERS)
        parameters.warn_of_unused(request.query, used, request.warnings)
        page = parameters.parse_page(request.query)
        key = request.query.get(catalogue.key)
        keys = None if key is None else key.upper().split(",")
        rows = catalogue.find(keys, request.query.get("object_type"))
        paging = {"start_element": page.start, "num_elements": page.size}
        if keys is not None and len(keys) == 1:
            if not rows:
                raise NotFound(catalogue.service, key[:40] if key else "")
            (row,) = await self._on_demand(request, rows[:1])
            return success({**paging, catalogue.service: row, "count": 1}, catalogue.service)
        shown = await self._on_demand(request, rows[page.start : page.start + page.size])
        return success({**paging, catalogue.plural: shown, "count": len(rows)}, catalogue.plural)

    async def _on_demand(self, request: ApiRequest, rows: Rows) -> Rows:
        """Return the rows with the additional values that flags ask for."""
        flags = parameters.parse_flags(request.query)
        if self._catalogue.service == "currency" and flags.get("show_rate"):
            return with_rates(rows)
        if self._catalogue.service == "label" and flags.get("show_values"):
            object_type = request.query.get("object_type", "")
            values = await read_label_values(self._context.store, request.caller, object_type)
            return [{**row, "values": values.get(row["id"])} for row in rows]
        return rows
