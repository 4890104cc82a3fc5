"""Schemas of what only the server writes, after the samples of the documents: no declared field has them."""

from __future__ import annotations

from collections.abc import Mapping

from onebyone.api.openapi.components import (
    ANY_OBJECT,
    FLAG,
    INTEGER,
    MOMENT,
    NULL,
    NUMBER,
    TEXT,
    Components,
    Schema,
    array,
    closed_object,
    enumeration,
    nullable,
    reference,
)
from onebyone.contracts.events import Kind
from onebyone.resources.entities.line_item_parts import AuctionEvent, ConversionPixel, Creative
from onebyone.resources.tracker_tags import tracker_tags

TYPE_WORDS: Mapping[str, Schema] = {
    "int": INTEGER,
    "string": TEXT,
    "boolean": FLAG,
    "date": MOMENT,
    "double": NUMBER,
    "money": NUMBER,
    "object": ANY_OBJECT,
    "array": array({}),
    "array of objects": array(ANY_OBJECT),
}
"""The schemas of the type words of GET /<service>/meta."""

STATE: Schema = enumeration(("active", "inactive"))
NAMED_LINK: Schema = reference("NamedLink")
"""How an object shows another."""

_SUMMARIES = nullable(array(reference("ObjectSummary")))
_PIXELS = nullable(array(reference("PixelSummary")))
_PLACEMENTS = nullable(array(reference("PlacementSummary")))

FIELDS: Mapping[tuple[str, str], Schema] = {
    ("advertiser", "thirdparty_pixels"): _PIXELS,
    ("member", "thirdparty_pixels"): _PIXELS,
    ("insertion-order", "line_items"): nullable(array(reference("LineItemSummary"))),
    ("imptracker", "tags"): reference("ImpressionTags"),
    ("clicktracker", "tags"): reference("ClickTags"),
    ("line-item", "imptrackers"): _SUMMARIES,
    ("line-item", "clicktrackers"): _SUMMARIES,
    ("line-item", "insertion_orders"): nullable(array(reference("InsertionOrderSummary"))),
    ("line-item", "advertiser"): NAMED_LINK,
    ("publisher", "placements"): _PLACEMENTS,
    ("site", "placements"): _PLACEMENTS,
}
"""(service, field) -> its schema in an object."""

_OF_INTERVAL: Schema = {"object_id": INTEGER, "object_type": TEXT, "timezone": TEXT}
_OF_LABEL: Schema = {"name": {**TEXT, "examples": ["Salesperson"]}}
PARTS: Mapping[str, Schema] = {
    "AdvertiserLabel": _OF_LABEL,
    "InsertionOrderLabel": _OF_LABEL,
    "LineItemLabel": _OF_LABEL,
    "PublisherLabel": _OF_LABEL,
    "BudgetInterval": _OF_INTERVAL,
    "LineItemInterval": {**_OF_INTERVAL, "parent_interval_id": nullable(INTEGER)},
    "DeliveryGoal": {"guaranteed_delivery_version": nullable(INTEGER)},
    "FlatFee": {"flat_fee_status": TEXT, "flat_fee_adjustment_id": nullable(INTEGER)},
    "AuctionEvent": {
        **dict.fromkeys(AuctionEvent.shown, NULL),
        "revenue_auction_event_type_code": TEXT,
        "revenue_auction_type_id": INTEGER,
    },
    "ConversionPixel": dict.fromkeys(ConversionPixel.shown, NULL),
    "Creative": dict.fromkeys(Creative.shown, NULL),
    "PublisherContact": {"id": INTEGER},
    "PoliticalContent": {"billing_name": TEXT, "is_ineligible": FLAG},
}
"""Class of a nested object -> its keys besides those that callers write."""


def _tags(kind: Kind) -> Schema:
    sample = tracker_tags(kind, 1, "https://tags.example.com")
    return {
        **closed_object(dict.fromkeys(sample, TEXT)),
        "description": "The URLs to paste into an ad server, which fills in [CACHEBUSTER].",
        "examples": [sample],
    }


def add_shared(components: Components) -> None:
    """Add the schemas that several objects refer to."""
    components.add("AnyObject", {"type": "object", "description": "An object of no documented shape."})
    components.add(
        "NamedLink",
        {
            **closed_object({"id": INTEGER, "name": nullable(TEXT)}),
            "description": "Another object of the member.",
        },
    )
    components.add(
        "ObjectSummary", closed_object({"id": INTEGER, "name": TEXT, "code": nullable(TEXT), "state": STATE})
    )
    components.add(
        "LineItemSummary",
        closed_object(
            {
                "id": INTEGER,
                **dict.fromkeys(("line_item_type", "name", "timezone"), TEXT),
                "code": nullable(TEXT),
                "state": STATE,
                **{name: nullable(MOMENT) for name in ("start_date", "end_date")},
            }
        ),
    )
    components.add(
        "PixelSummary", closed_object({"id": INTEGER, "name": nullable(TEXT), "active": FLAG, "audit_status": TEXT})
    )
    components.add("ImpressionTags", _tags("imp"))
    components.add("ClickTags", _tags("clk"))
    components.add("PlacementSummary", closed_object({"id": INTEGER, "code": nullable(TEXT)}))
    components.add(
        "InsertionOrderSummary",
        {
            "type": "object",
            "properties": {
                **dict.fromkeys(("id", "advertiser_id"), INTEGER),
                **{name: nullable(TEXT) for name in ("code", "timezone", "currency", "budget_type")},
                **{name: nullable(MOMENT) for name in ("start_date", "end_date")},
                "name": TEXT,
                "state": STATE,
                "last_modified": MOMENT,
            },
            "required": ["id", "name", "state"],
        },
    )
