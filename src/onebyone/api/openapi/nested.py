"""Read-only parts of objects, as the samples of the documents show them: what no field declaration says."""

from __future__ import annotations

from collections.abc import Mapping

from onebyone.api.openapi.fields import MOMENT, Schema, nullable

INTEGER: Schema = {"type": "integer"}
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
STATE: Schema = {"type": "string", "enum": ["active", "inactive"]}
LINK: Schema = {"$ref": "#/components/schemas/Link"}
_BRIEF: Schema = {"$ref": "#/components/schemas/Brief"}

COMPONENTS: dict[str, Schema] = {
    "Link": {
        "type": "object",
        "description": "Another object of the member. Only `id` is taken; `name` is shown.",
        "properties": {"id": INTEGER, "name": nullable(TEXT)},
        "required": ["id", "name"],
        "additionalProperties": False,
    },
    "Brief": {
        "type": "object",
        "properties": {"id": INTEGER, "name": TEXT, "code": nullable(TEXT), "state": STATE},
        "required": ["id", "name", "code", "state"],
        "additionalProperties": False,
    },
    "PixelBrief": {
        "type": "object",
        "properties": {"id": INTEGER, "name": nullable(TEXT), "active": FLAG, "audit_status": TEXT},
        "required": ["id", "name", "active", "audit_status"],
        "additionalProperties": False,
    },
}


def _array(items: Schema) -> Schema:
    return nullable({"type": "array", "items": items})


_PIXELS = _array({"$ref": "#/components/schemas/PixelBrief"})
_PLACEMENTS = _array(
    {
        "type": "object",
        "properties": {"id": INTEGER, "code": nullable(TEXT)},
        "required": ["id", "code"],
        "additionalProperties": False,
    }
)
_ORDER: Schema = {
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
}

DERIVED: Mapping[tuple[str, str], Schema] = {
    ("advertiser", "thirdparty_pixels"): _PIXELS,
    ("member", "thirdparty_pixels"): _PIXELS,
    ("insertion-order", "line_items"): _array(_BRIEF),
    ("line-item", "imptrackers"): _array(_BRIEF),
    ("line-item", "clicktrackers"): _array(_BRIEF),
    ("line-item", "insertion_orders"): _array(_ORDER),
    ("line-item", "advertiser"): LINK,
    ("publisher", "placements"): _PLACEMENTS,
    ("site", "placements"): _PLACEMENTS,
}
"""(service, field) -> what is shown there."""

_INTERVAL: Schema = {"object_id": INTEGER, "object_type": TEXT, "timezone": TEXT}
MORE: Mapping[tuple[str, str], Schema] = {
    ("insertion-order", "budget_intervals"): _INTERVAL,
    ("line-item", "budget_intervals"): {**_INTERVAL, "parent_interval_id": nullable(INTEGER)},
    ("line-item", "labels"): {"name": TEXT},
    ("line-item", "delivery_goal"): {"guaranteed_delivery_version": nullable(INTEGER)},
    ("line-item", "flat_fee"): {"flat_fee_status": TEXT, "flat_fee_adjustment_id": nullable(INTEGER)},
    ("line-item", "auction_event"): {
        "revenue_auction_event_type_code": TEXT,
        "revenue_auction_type_id": INTEGER,
    },
    ("publisher", "labels"): {"name": TEXT},
    ("publisher", "contact"): {"id": INTEGER},
}
"""(service, field) -> read-only properties beside those that callers write."""
