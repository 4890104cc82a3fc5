"""Read-only lists: currencies, ad servers, and labels with what a member has written on them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from iso4217 import Currency
from starlette.responses import Response

from onebyone.api.http.envelope import success
from onebyone.api.http.errors import unsupported_method
from onebyone.api.http.request import ApiRequest, Handler
from onebyone.errors import NotFound
from onebyone.resources import paging as queries
from onebyone.resources.context import ApiContext
from onebyone.resources.labels import LABELS
from onebyone.resources.lists.label_values import LabelValues

_SINCE = "2010-09-14 22:12:38"
Rows = Sequence[Mapping[str, Any]]

CURRENCIES: Rows = [
    {
        "code": currency.code,
        "symbol": currency.code,
        "name": f"{currency.currency_name} ({currency.code})",
        "description": None,
        "position": "before",
        "last_modified": _SINCE,
        "is_exposed": True,
    }
    for currency in sorted(Currency, key=lambda currency: str(currency.code))
]
LABEL_ROWS: Rows = [
    {
        "id": label.id,
        "name": label.name,
        "member_id": None,
        "is_user_associated": label.is_user_associated,
        "is_reporting_enabled": True,
        "object_type": label.object_type,
        "report_field": label.report_field,
        "last_modified": _SINCE,
    }
    for label in LABELS
]


AD_SERVERS: Rows = [
    {
        "id": number,
        "name": name,
        "description": None,
        "type": "adserver",
        "is_appnexus_approved": False,
        "declare_to_adx": False,
        "last_modified": _SINCE,
        "is_hidden": False,
        "hostnames": None,
    }
    for number, name in enumerate(
        ("Other/Unlisted", "24/7 Real Media", "Ad Manager", "AdCentric", "Adconian", "AdDynamix", "AdECN")
    )
]
"""Those that the documents print (ad-server-service); pixels may name any id."""


def services(context: ApiContext) -> dict[str, Handler]:
    """Handlers by service name."""
    return {
        "currency": _Catalogue("currency", "currencies", "code", CURRENCIES, _rates),
        "label": _Catalogue("label", "labels", "id", LABEL_ROWS, LabelValues(context)),
        "adserver": _Catalogue("adserver", "adservers", "id", AD_SERVERS, _as_they_are),
    }


More = Callable[[ApiRequest, Rows], Awaitable[Rows]]
"""What a request asks to be shown beside the rows."""


async def _as_they_are(request: ApiRequest, rows: Rows) -> Rows:
    return rows


async def _rates(request: ApiRequest, rows: Rows) -> Rows:
    """`show_rate=true`: no rates are bought here, so only that of the dollar is known."""
    if not queries.flag(request.query, "show_rate"):
        return rows
    return [{**row, "rate_per_usd": 1 if row["code"] == "USD" else None, "as_of": None} for row in rows]


class _Catalogue:
    def __init__(self, service: str, plural: str, key: str, rows: Rows, more: More) -> None:
        self._service, self._plural, self._key, self._rows, self._more = service, plural, key, rows, more

    async def __call__(self, request: ApiRequest) -> Response:
        if request.method != "GET":
            raise unsupported_method(request.method, request.service)
        page = queries.page(request.query)
        wanted = request.query.get(self._key)
        keys = None if wanted is None else wanted.upper().split(",")
        found = [row for row in self._rows if keys is None or str(row[self._key]) in keys]
        kind = request.query.get("object_type")
        found = [row for row in found if kind in (None, row.get("object_type"))]
        paging = {"start_element": page.start, "num_elements": page.size}
        if keys is not None and len(keys) == 1:
            if not found:
                raise NotFound(self._service, wanted[:40] if wanted else "")
            shown = await self._more(request, found[:1])
            return success({**paging, self._service: shown[0], "count": 1}, self._service)
        shown = await self._more(request, found[page.start : page.start + page.size])
        return success({**paging, self._plural: shown, "count": len(found)}, self._plural)
