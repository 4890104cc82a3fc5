"""The documents of the five services as data: every field with its length, values, default and origin.

A nested field is a path. `test_documented.py` compares the API and `docs/fields.md` with it, and it with the documents.
"""

from __future__ import annotations

from typing import Any

_TRACKER = """
id member_id advertiser_id name code state publisher publisher.id publisher.name tag tag.id tag.name
payment_rule payment_rule.id payment_rule.name line_item line_item.id line_item.name last_modified
"""

_TEXTS = {
    "imptracker": f"{_TRACKER} clicktracker",
    "clicktracker": f"{_TRACKER} click_url",
    "thirdparty-pixel": """
        active adservers advertisers advertiser_id audit_status content creatives format id members member_id name
        secure_content secure_url supply_exceptions url
        publisher_id publishers created_on last_modified
    """,
    "publisher": """
        id code name state expose_domains enable_cookie_tracking_default reselling_exposure reselling_exposed_on
        reselling_name description is_rtb timezone last_modified stats max_learn_pct learn_bypass_cpm
        ad_quality_advanced_mode_enabled allow_report_on_default_imps default_site_id default_ad_profile_id
        billing_dba billing_address1 billing_address2 billing_city billing_state billing_zip billing_country
        accept_supply_partner_usersync accept_demand_partner_usersync accept_data_provider_usersync ym_profile_id
        allow_cpm_managed allow_cpm_external allow_cpa_managed allow_cpa_external allow_cpc_managed allow_cpc_external
        managed_cpc_bias_pct managed_cpa_bias_pct external_cpc_bias_pct external_cpa_bias_pct is_oo
        base_payment_rule_id base_ad_quality_rule_id currency visibility_profile_id billing_internal_user
        labels labels.id labels.name labels.value placements placements.id placements.code external_inv_codes
        cpm_reselling_disabled cpc_reselling_disabled platform_ops_notes pitbull_segment_id pitbull_segment_value
        publisher_brand_exceptions publisher_brand_exceptions.brand_id seller_page_cap_enabled inventory_relationship
        inventory_source inventory_source_name contact contact.name contact.phone contact.email use_anx_auction_logic
        member_id contact_info contact.id disclosure_status default_placement_id redirect_to_rm
    """,
    "line-item": """
        id code name advertiser_id state line_item_type line_item_subtype start_date end_date timezone ad_types
        discrepancy_pct publishers_allowed revenue_value revenue_type goal_type goal_value last_modified click_url
        currency require_cookie_for_tracking profile_id member_id comments remaining_days total_days manage_creative
        advertiser advertiser.id advertiser.name labels labels.id labels.name labels.value broker_fees
        pixels pixels.id pixels.state pixels.post_click_revenue pixels.post_view_revenue pixels.name
        pixels.trigger_type
        insertion_orders insertion_orders.id insertion_orders.state insertion_orders.code insertion_orders.name
        insertion_orders.advertiser_id insertion_orders.budget_type insertion_orders.timezone
        insertion_orders.last_modified insertion_orders.currency insertion_orders.budget_intervals
        goal_pixels imptrackers clicktrackers valuation
        creatives creatives.is_expired creatives.is_prohibited creatives.width creatives.audit_status creatives.name
        creatives.pop_window_maximize creatives.height creatives.state creatives.format creatives.is_self_audited
        creatives.id creatives.code creatives.weight creatives.ad_type creatives.all_budget_intervals
        creatives.custom_date_ranges creatives.custom_date_ranges.start_date creatives.custom_date_ranges.end_date
        budget_scheduling_settings budget_scheduling_settings.underspend_catchup_type
        budget_intervals budget_intervals.id budget_intervals.start_date budget_intervals.end_date
        budget_intervals.timezone budget_intervals.parent_interval_id budget_intervals.lifetime_budget
        budget_intervals.lifetime_budget_imps budget_intervals.lifetime_pacing budget_intervals.lifetime_pacing_pct
        budget_intervals.daily_budget budget_intervals.daily_budget_imps budget_intervals.enable_pacing
        budget_intervals.creatives
        lifetime_budget lifetime_budget_imps daily_budget daily_budget_imps enable_pacing allow_safety_pacing
        lifetime_pacing lifetime_pacing_span lifetime_pacing_pct payout_margin insertion_order_id stats all_stats
        first_run last_run expected_pacing total_pacing has_pacing_dollars has_pacing_imps imps_pacing_percent
        rev_pacing_percent alerts inventory_type
        supply_strategies supply_strategies.managed supply_strategies.rtb supply_strategies.deals
        supply_strategies.programmatic_guaranteed
        creative_distribution_type prefer_delivery_over_performance viewability_vendor is_archived archived_on
        partner_fees
        delivery_goal delivery_goal.id delivery_goal.type delivery_goal.disallow_non_guaranteed
        delivery_goal.percentage delivery_goal.reserved delivery_goal.guaranteed_delivery_version
        priority
        auction_event auction_event.revenue_auction_event_type auction_event.revenue_auction_event_type_code
        auction_event.revenue_auction_type_id auction_event.kpi_auction_event_type
        auction_event.kpi_auction_event_type_code auction_event.kpi_auction_type_id auction_event.kpi_value
        auction_event.payment_auction_event_type auction_event.payment_auction_event_type_code
        auction_event.payment_auction_type_id
        bid_object_type custom_models deals delivery_model_type
        flat_fee flat_fee.flat_fee_status flat_fee.flat_fee_allocation_date flat_fee.flat_fee_adjustment_id
        flat_fee_type
        roadblock roadblock.type roadblock.master_width roadblock.master_height roadblock.slot_type
        budget_set_per_flight enable_v8 waive_deductions_when_disallowed campaigns inventory_discovery incrementality
        custom_optimization_note user_info product in_demo_measurement
        budget_intervals.object_id budget_intervals.object_type budget_intervals.code
        insertion_orders.start_date insertion_orders.end_date insertion_orders.political_content
    """,
}

FIELDS: dict[str, list[str]] = {service: text.split() for service, text in _TEXTS.items()}
"""Service -> paths of its documented fields: those in tables, then those that only samples show."""

OWN: dict[str, set[str]] = {
    "imptracker": {"tags", "tags.image", "tags.script"},
    "clicktracker": {"tags", "tags.click"},
    "thirdparty-pixel": set(),
    "publisher": set(),
    "line-item": set(),
}
"""Fields that the documents do not have."""

NOT_SHOWN: dict[str, set[str]] = {
    "imptracker": {"clicktracker"},
    "clicktracker": set(),
    "thirdparty-pixel": set(),
    "publisher": {"stats", "redirect_to_rm"},
    "line-item": {
        *("stats", "payout_margin", "alerts", "expected_pacing", "total_pacing"),
        *("has_pacing_dollars", "has_pacing_imps", "imps_pacing_percent", "rev_pacing_percent"),
    },
}
"""Fields that are deprecated or out of use; samples of new objects lack them."""

LENGTHS: dict[str, dict[str, int]] = {
    "imptracker": {},
    "clicktracker": {},
    "thirdparty-pixel": {},
    "publisher": {
        **{"code": 100, "name": 255, "reselling_name": 255, "description": 255, "billing_dba": 100},
        **{"billing_address1": 100, "billing_address2": 100, "billing_city": 100, "billing_state": 100},
        **{"billing_zip": 100, "billing_country": 100, "labels.value": 100, "placements.code": 100},
    },
    "line-item": {"code": 100, "name": 255, "click_url": 1000, "currency": 3, "labels.value": 100},
}

_STATES = ("active", "inactive")
VALUES: dict[str, dict[str, tuple[str, ...]]] = {
    "imptracker": {"state": _STATES},
    "clicktracker": {"state": _STATES},
    "thirdparty-pixel": {
        "audit_status": ("pending", "rejected", "approved", "exempt"),
        "format": ("raw-js", "url-html", "url-js", "url-image", "raw-url"),
        "supply_exceptions.name": ("AdX",),
    },
    "publisher": {
        "state": _STATES,
        "reselling_exposure": ("public", "private"),
        "inventory_relationship": (
            *("unknown", "owned_operated", "direct", "indirect_single_publisher", "indirect_multiple_publishers"),
        ),
        "inventory_source": ("other", "rubicon", "openx", "pubmatic", "aol"),
    },
    "line-item": {
        "state": _STATES,
        "line_item_subtype": ("gd_buying_imp", "gd_buying_exclusive"),
        "ad_types": ("banner", "video", "native"),
        "creative_distribution_type": ("even", "weighted", "ctr-optimized"),
        "flat_fee_type": ("one_time", "daily"),
        "viewability_vendor": ("appnexus",),
        "delivery_goal.type": ("impressions", "percentage"),
        "budget_scheduling_settings.underspend_catchup_type": ("evenly", "ASAP"),
        "roadblock.type": ("partial_roadblock",),
        "roadblock.slot_type": ("AD_POD_FIRST", "AD_POD_LAST", "INTRO_BUMPER", "OUTRO_BUMPER"),
        "pixels.state": _STATES,
        "auction_event.revenue_auction_event_type": ("impression", "view"),
    },
}
"""Field -> all values that it accepts."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "imptracker": {"state": "active", "code": None, "tag": None, "payment_rule": None},
    "clicktracker": {"state": "active", "code": None, "tag": None, "payment_rule": None, "click_url": None},
    "thirdparty-pixel": {
        **{"active": True, "advertiser_id": None, "audit_status": "pending", "format": "raw-js", "name": None},
        **{"members": None, "advertisers": None, "publishers": None, "creatives": None, "adservers": None},
        **{"supply_exceptions": None, "url": None, "secure_url": None, "secure_content": None, "publisher_id": None},
    },
    "publisher": {
        **{"code": None, "state": "active", "expose_domains": True, "enable_cookie_tracking_default": True},
        **{"reselling_exposure": "private", "reselling_exposed_on": "1970-01-01 00:00:01", "reselling_name": None},
        **{"description": "", "is_rtb": False, "timezone": "EST5EDT", "max_learn_pct": 0, "learn_bypass_cpm": 5},
        **{"ad_quality_advanced_mode_enabled": True, "allow_report_on_default_imps": False},
        **{"default_ad_profile_id": None, "billing_dba": None, "billing_address1": None, "billing_address2": None},
        **{"billing_city": None, "billing_state": None, "billing_zip": None, "billing_country": None},
        **{"accept_supply_partner_usersync": None, "accept_demand_partner_usersync": None},
        **{"accept_data_provider_usersync": None, "ym_profile_id": None, "allow_cpm_managed": True},
        **{"allow_cpm_external": True, "allow_cpa_managed": True, "allow_cpa_external": False},
        **{"allow_cpc_managed": True, "allow_cpc_external": False, "managed_cpc_bias_pct": 100},
        **{"managed_cpa_bias_pct": 100, "external_cpc_bias_pct": 100, "external_cpa_bias_pct": 100, "is_oo": False},
        **{"base_ad_quality_rule_id": None, "currency": "USD", "visibility_profile_id": None},
        **{"billing_internal_user": None, "labels": None, "external_inv_codes": None, "contact_info": None},
        **{"cpm_reselling_disabled": False, "cpc_reselling_disabled": False, "platform_ops_notes": None},
        **{"pitbull_segment_id": 0, "pitbull_segment_value": 0, "publisher_brand_exceptions": None},
        **{"seller_page_cap_enabled": False, "inventory_relationship": "unknown", "inventory_source": None},
        **{"inventory_source_name": None, "contact": None, "use_anx_auction_logic": False},
        **{"disclosure_status": "undisclosed"},
    },
    "line-item": {
        **{"code": None, "state": "active", "line_item_type": "standard_v1", "line_item_subtype": None},
        **{"start_date": None, "end_date": None, "timezone": "EST5EDT", "ad_types": ["banner"], "discrepancy_pct": 0},
        **{"publishers_allowed": "all", "goal_type": "none", "goal_value": None, "click_url": None},
        **{"currency": "USD", "require_cookie_for_tracking": True, "profile_id": None, "comments": None},
        **{"remaining_days": None, "total_days": None, "labels": None, "broker_fees": None, "pixels": None},
        **{"insertion_orders": None, "goal_pixels": None, "imptrackers": None, "clicktrackers": None},
        **{"valuation": None, "creatives": None, "budget_scheduling_settings": None, "budget_intervals": None},
        **{"lifetime_budget": None, "lifetime_budget_imps": None, "daily_budget": None, "daily_budget_imps": None},
        **{"enable_pacing": None, "allow_safety_pacing": None, "lifetime_pacing": None},
        **{"lifetime_pacing_span": None, "lifetime_pacing_pct": None, "inventory_type": "direct"},
        **{"creative_distribution_type": "even", "prefer_delivery_over_performance": False},
        **{"viewability_vendor": "appnexus", "is_archived": False, "archived_on": None, "partner_fees": None},
        **{"delivery_goal": None, "priority": 5, "auction_event": None, "custom_models": None, "deals": None},
        **{"flat_fee": None, "flat_fee_type": None, "roadblock": None, "enable_v8": True, "campaigns": None},
        **{"waive_deductions_when_disallowed": False, "budget_set_per_flight": False, "inventory_discovery": None},
        **{"incrementality": None, "custom_optimization_note": None, "user_info": None, "product": None},
        **{"in_demo_measurement": None},
    },
}
"""Value of each field of a new object that was not sent; where a table and a sample differ, the sample's."""

READ_ONLY: dict[str, set[str]] = {
    "imptracker": {"id", "member_id", "advertiser_id", "last_modified"},
    "clicktracker": {"id", "member_id", "advertiser_id", "last_modified"},
    "thirdparty-pixel": {"id", "creatives", "publisher_id", "publishers", "created_on", "last_modified"},
    "publisher": {
        *("id", "member_id", "last_modified", "is_rtb", "reselling_exposed_on", "placements", "external_inv_codes"),
        *("cpm_reselling_disabled", "cpc_reselling_disabled", "platform_ops_notes", "pitbull_segment_id"),
        *("pitbull_segment_value", "contact_info", "disclosure_status", "default_placement_id"),
    },
    "line-item": {
        *("id", "advertiser_id", "member_id", "last_modified", "discrepancy_pct", "publishers_allowed", "goal_type"),
        *("goal_value", "remaining_days", "total_days", "advertiser", "broker_fees", "goal_pixels", "imptrackers"),
        *("clicktrackers", "valuation", "insertion_order_id", "all_stats", "first_run", "last_run", "is_archived"),
        *("archived_on", "partner_fees", "bid_object_type", "custom_models", "deals", "delivery_model_type"),
        *("budget_set_per_flight", "enable_v8", "waive_deductions_when_disallowed", "campaigns"),
        *("inventory_discovery", "incrementality", "custom_optimization_note", "user_info", "product"),
        *("in_demo_measurement",),
    },
}
"""Fields that only the server writes; values that a caller sends are ignored."""
