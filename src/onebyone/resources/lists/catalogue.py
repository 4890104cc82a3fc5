"""Read-only lists that every member sees alike: currencies, ad servers and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iso4217 import Currency

from onebyone.resources.labels import LABELS

_SINCE = "2010-09-14 22:12:38"
"""`last_modified` of all rows, as in the documents' samples."""
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
"""The ad servers that the documents list (ad-server-service); pixels may name any other id too."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A list that is the same for every member."""

    service: str
    plural: str
    key: str
    """The field that names a row."""
    rows: Rows
    parameters: tuple[str, ...] = ()
    """What a read of this list takes besides the key and the page."""

    def find(self, keys: Sequence[str] | None = None, object_type: str | None = None) -> Rows:
        """Return the rows with these keys, in upper case, and of this object type, if they have one; None: all."""
        return [
            row
            for row in self.rows
            if (keys is None or str(row[self.key]) in keys)
            and object_type in (None, row.get("object_type", object_type))
        ]


CATALOGUES = (
    Catalogue("currency", "currencies", "code", CURRENCIES, ("show_rate",)),
    Catalogue("label", "labels", "id", LABEL_ROWS, ("object_type", "show_values")),
    Catalogue("adserver", "adservers", "id", AD_SERVERS),
)


def with_rates(rows: Rows) -> Rows:
    """Return currencies with their rates: no rates are bought here, so only that of the dollar is known."""
    return [{**row, "rate_per_usd": 1 if row["code"] == "USD" else None, "as_of": None} for row in rows]
