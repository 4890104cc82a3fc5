"""Bodies that work, and a value for every field.

The bodies work on a fresh install in the order in which the page shows them: each link names the first object of its
kind. A field that says nothing by itself (a text, a number) has a value here that people can read; without it, tools
make one up from the pattern.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CREDENTIALS = {"username": "admin", "password": "One-by-one-4-you"}
"""Those of the README's first start."""

_LINKS = {"publisher": {"id": 1}, "line_item": {"id": 1}}

CREATE: Mapping[str, Mapping[str, Any]] = {
    "user": {"username": "trafficker", "password": "Correct-horse-1", "user_type": "member"},
    "advertiser": {"name": "Test Advertiser", "code": "ADV-1", "use_insertion_orders": True},
    "insertion-order": {
        "name": "Test Insertion Order",
        "budget_type": "impression",
        "budget_intervals": [{"start_date": "2026-10-01 00:00:00", "end_date": "2026-12-31 23:59:59"}],
    },
    "line-item": {
        "name": "Test-GDALI",
        "insertion_orders": [{"id": 1}],
        "line_item_subtype": "gd_buying_imp",
        "state": "inactive",
        "priority": 14,
        "ad_types": ["banner"],
        "timezone": "UTC",
        "budget_intervals": [
            {
                "start_date": "2026-10-02 00:00:00",
                "end_date": "2026-10-31 23:59:59",
                "lifetime_budget_imps": 150000,
                "lifetime_pacing": True,
                "lifetime_pacing_pct": 105,
            }
        ],
        "revenue_type": "cpm",
        "revenue_value": 1,
        "delivery_goal": {"type": "impressions", "disallow_non_guaranteed": False, "reserved": True},
    },
    "publisher": {
        "name": "November Publisher",
        "inventory_relationship": "direct",
        "billing_dba": "November",
        "billing_city": "Portland",
        "contact": {"name": "N. Owner", "phone": "555 0100", "email": "owner@example.com"},
    },
    "site": {"name": "Test Site", "url": "https://www.example.com"},
    "placement": {"name": "Test Placement", "width": 300, "height": 250},
    "payment-rule": {"name": "Half", "pricing_type": "revshare", "revshare": 0.5},
    "imptracker": {"name": "Test Impression Tracker", **_LINKS},
    "clicktracker": {"name": "Test Click Tracker", "click_url": "https://test-landing-page.com", **_LINKS},
    "thirdparty-pixel": {"format": "url-html", "secure_url": "https://secureurl.com"},
}

UPDATE: Mapping[str, Mapping[str, Any]] = {
    "member": {"redirect_domains": ["landing.example.com"]},
    "user": {"state": "inactive"},
    "advertiser": {"code": "ADV-2"},
    "insertion-order": {"state": "inactive"},
    "line-item": {"budget_intervals": [{"end_date": "2026-11-30 23:59:59"}]},
    "publisher": {"max_learn_pct": 5},
    "site": {"state": "inactive"},
    "placement": {"code": "TOP"},
    "payment-rule": {"pricing_type": "cpm", "cost_cpm": 1.25},
    "imptracker": {"tag": {"id": 1}},
    "clicktracker": {"tag": {"id": 1}},
    "thirdparty-pixel": {"advertisers": [{"id": 1}]},
}

UPDATED_IDS: Mapping[str, int] = {"user": 2, "site": 2, "placement": 2, "payment-rule": 2}
"""Ids that the bodies of `UPDATE` are for; 1 unless they are here.

The first user is the admin; the first site, placement and payment rule come with a publisher.
"""

REPORT: Mapping[str, Any] = {
    "report_type": "network_analytics",
    "columns": ["day", "line_item_id", "imps", "clicks", "revenue"],
    "report_interval": "last_7_days",
}

_FIELDS: Mapping[str, Any] = {
    "allowed_click_actions": "click-to-web",
    "audit_status": "approved",
    "bid_object_type": "line_item",
    "billing_address1": "1 Main Street",
    "billing_address2": "Second floor",
    "billing_city": "Portland",
    "billing_code": "PO-1234",
    "billing_country": "United States",
    "billing_dba": "November",
    "billing_internal_user": 1,
    "billing_name": "N. Owner",
    "billing_phone": "555 0100",
    "billing_state": "Oregon",
    "billing_zip": "97201",
    "budget_type": "impression",
    "click_url": "https://landing.example.com/autumn",
    "code": "ADV-1",
    "code2": "TOP-2",
    "code3": "TOP-3",
    "column": "imps",
    "comments": "Agreed by mail.",
    "content": '<script src="https://pixel.example.com/p.js"></script>',
    "control_pct": 0,
    "cost_cpm": 1.25,
    "count": 1,
    "count_active": 3,
    "count_inactive": 1,
    "count_total": 4,
    "creative_formats": "text",
    "currency": "USD",
    "custom_optimization_note": "None.",
    "daily_budget": 500,
    "daily_budget_imps": 10000,
    "db": "10.0.0.1",
    "dead_letters": 0,
    "delivery_model_type": "standard",
    "description": "Autumn",
    "disclosure_status": "undisclosed",
    "discrepancy_pct": 0,
    "email": "trafficker@example.com",
    "entity_name": "Test Advertiser",
    "error": "name: Field required",
    "error_code": "RATE_EXCEEDED",
    "error_description": "enable_click_and_imp_trackers of the member is false",
    "external_cpa_bias_pct": 100,
    "external_cpc_bias_pct": 100,
    "first_name": "Ada",
    "flat_fee_status": "pending",
    "goal_type": "none",
    "goal_value": 0.5,
    "guaranteed_delivery_version": 1,
    "header_info": "",
    "height": 250,
    "hostnames": "ads.example.com",
    "instance": "onebyone",
    "inventory_source_name": "November",
    "json_request": '{"report":{"report_type":"network_analytics"}}',
    "last_commit_seconds": 0.5,
    "last_modified": "2026-03-01 10:00:00",
    "last_name": "Trafficker",
    "learn_bypass_cpm": 5,
    "legal_entity_name": "Test Advertiser Inc.",
    "lifetime_budget": 15000,
    "lifetime_budget_imps": 150000,
    "lifetime_pacing_pct": 105,
    "limit": 1000,
    "lost_batches": 0,
    "managed_cpa_bias_pct": 100,
    "managed_cpc_bias_pct": 100,
    "master_height": 250,
    "master_width": 300,
    "max_learn_pct": 5,
    "max_revshare": 0.8,
    "member_last_modified_age": 60,
    "method": "POST",
    "name": "Test-GDALI",
    "num_elements": 100,
    "object_type": "line_item",
    "offset": 0,
    "oldest_uncounted_seconds": 0.5,
    "operator": ">",
    "output_term": "imptracker",
    "password": "Correct-horse-1",
    "percentage": 50,
    "phone": "555 0100",
    "pitbull_segment_value": 0,
    "pixel_url": "https://pixel.example.com/p.gif",
    "platform_ops_notes": "None.",
    "position": "before",
    "post_click_revenue": 2.5,
    "post_view_revenue": 0.5,
    "primary_content_category_id": 1,
    "priority": 5,
    "publisher_name": "November Publisher",
    "publishers_allowed": "all",
    "rate_per_usd": 1,
    "read_limit": 100,
    "read_limit_seconds": 60,
    "reads": 1,
    "redirect_domains": "landing.example.com",
    "remaining_days": 30,
    "report_field": "salesperson_for_advertiser",
    "report_size": "1204",
    "reselling_name": "November",
    "revenue_auction_event_type_code": "impression",
    "revenue_value": 2.5,
    "revshare": 0.5,
    "row_count": "12",
    "secure_content": '<script src="https://pixel.example.com/p.js"></script>',
    "secure_url": "https://pixel.example.com/p.js",
    "service": "imptracker",
    "site_name": "Test Site",
    "slave_lag": 0,
    "start_element": 0,
    "start_microtime": 1772359200.25,
    "state": "active",
    "switch_to_user": 2,
    "symbol": "USD",
    "target_ecpm": 2.5,
    "time": 4.2,
    "time_granularity": "hourly",
    "time_intervals": "last_7_days",
    "timezone": "America/New_York",
    "token": "hbapi:0123456789abcdef",
    "total_days": 31,
    "type": "string",
    "uncounted_batches": 1,
    "url": "https://www.example.com",
    "username": "trafficker",
    "uuid": "7d3f0d2e-8f0c-4f0e-9a50-3d5ab1d7d6c1",
    "value": ("Ami", 2.5),
    "version": "0.1.0",
    "waiting_producers": 0,
    "warnings": "unknown field not used: colour",
    "weight": 10,
    "width": 300,
    "write_limit": 60,
    "write_limit_seconds": 60,
    "writes": 0,
}
"""By the name of the field; a name that two types share has two values."""
_ID = (1, "1")
_TYPES: Mapping[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "number": (int, float)}


def with_example(field: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a field with an example, unless it has one or says all by itself."""
    if "items" in schema:
        return {**schema, "items": with_example(field, schema["items"])}
    parts = [part for part in schema.get("anyOf", [schema]) if part.get("type") in _TYPES]
    if not parts or "examples" in schema or any({"examples", "const"} & part.keys() for part in parts):
        return schema
    sample = _FIELDS.get(field.rpartition("::")[2], _ID if field.rpartition("_")[2] == "id" else ())
    samples = sample if isinstance(sample, tuple) else (sample,)
    fitting = [value for value in samples if isinstance(value, _TYPES[parts[0]["type"]])]
    return {**schema, "examples": fitting} if fitting else schema
