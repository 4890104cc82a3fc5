"""Bodies that work on a fresh install in the order in which the page shows them.

Each link names the first object of its kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CREDENTIALS = {"username": "admin", "password": "One-by-one-4-you"}
"""The administrator of the README's first start."""

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
"""Service -> id of the object that the body of `UPDATE` changes, where it is not 1.

The first user is the admin, and a publisher comes with the first site, placement and payment rule.
"""

REPORT: Mapping[str, Any] = {
    "report_type": "network_analytics",
    "columns": ["day", "line_item_id", "imps", "clicks", "revenue"],
    "report_interval": "last_7_days",
}


def field_samples(service: str) -> Mapping[str, Any]:
    """Return field -> value from the bodies of a service, for the examples of its objects."""
    samples = {**UPDATE.get(service, {}), **CREATE.get(service, {})}
    return {name: value for name, value in samples.items() if isinstance(value, str | int | float)}
