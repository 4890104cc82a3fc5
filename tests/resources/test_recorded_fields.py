"""Services beyond the five documents, compared field by field with the recorded answers and documents of the original.

Sources: the VCR cassettes of simplifi/appnexusapi (2017) and the services' pages in MicrosoftDocs/Xandr-docs (2026).
"""

from __future__ import annotations

from typing import Any

import pytest

from onebyone.resources.entities import ENTITIES
from tests.support.api_harness import Harness, Json

pytestmark = pytest.mark.anyio
BY_SERVICE = {entity.service: entity for entity in ENTITIES}
RECORDED: dict[str, str] = {
    "user": """
        id first_name last_name phone username email user_type read_only api_login entity_id publisher_id advertiser_id
        custom_data send_safety_budget_notifications entity_name timezone entity_reporting_decimal_type
        reporting_decimal_type decimal_mark thousand_separator is_admin last_modified is_developer role_id state
        password_expires_on advertiser_access publisher_access
    """,
    "advertiser": """
        id code name state default_brand_id remarketing_segment_id profile_id control_pct timezone last_modified
        member_id billing_name billing_phone billing_address1 billing_address2 billing_city billing_state
        billing_country billing_zip default_currency use_insertion_orders time_format is_malicious is_mediated
        billing_internal_user default_category default_brand labels competitive_brands competitive_categories
        thirdparty_pixels macros lifetime_budget lifetime_budget_imps daily_budget daily_budget_imps enable_pacing
        allow_safety_pacing lifetime_pacing lifetime_pacing_span lifetime_pacing_pct legal_entity_name
        enable_political_io_by_default is_running_political_ads partner_fees
    """,
    "insertion-order": """
        id name code state advertiser_id profile_id member_id start_date end_date remaining_days total_days
        last_modified timezone currency comments budget_type billing_code viewability_standard_provider
        is_running_political_ads line_items labels broker_fees budget_intervals tpas_details political_content
        lifetime_pacing lifetime_budget lifetime_budget_imps enable_pacing lifetime_pacing_span allow_safety_pacing
        daily_budget daily_budget_imps lifetime_pacing_pct spend_protection_pixels
    """,
    "payment-rule": """
        id code name description pricing_type cost_cpm revshare state start_date end_date profile_id timezone priority
        last_modified buyer_type max_revshare target_ecpm apply_cost_on_default demand_filter_action lifetime_budget
        lifetime_budget_imps daily_budget daily_budget_imps filtered_advertisers filtered_line_items filtered_campaigns
    """,
    "site": """
        id code state publisher_id last_modified name url primary_content_category_id intended_audience
        managed_optimization_zone_id rtb_optimization_zone_id audited publisher_name supply_type creative_format_action
        mobile_app_instance placements content_categories inventory_attributes creative_formats allowed_click_actions
        marketplace_map
    """,
}
SERVICES = pytest.mark.parametrize("service", RECORDED)
FIXED = [(entity.service, name) for entity in ENTITIES for name in entity.fixed]
USER = {"username": "u", "password": "One-by-one-4-you"}


async def make(api: Harness, service: str) -> Json:
    world = await api.world()
    if service == "user":
        return await api.create("user", USER)
    if service == "insertion-order":
        await api.put("advertiser", world["advertiser"], {"use_insertion_orders": True})
        return await api.create(service, {"name": "O"}, advertiser_id=world["advertiser"])
    return await api.get(service, world[service])


@SERVICES
async def test_objects_have_every_recorded_field(api: Harness, service: str) -> None:
    made = await make(api, service)
    assert set(RECORDED[service].split()) - made.keys() == set()
    put_back = await api.call("PUT", service, {service: made}, id=made["id"])
    assert (put_back["status"], put_back["dbg_info"]["warnings"]) == ("OK", [])
    assert {**put_back[service], "last_modified": 0} == {**made, "last_modified": 0}


@pytest.mark.parametrize(("service", "name"), FIXED)
def test_fields_without_an_effect_are_read_only(service: str, name: str) -> None:
    entity = BY_SERVICE[service]
    assert name in entity.output
    assert name not in entity.body.model_fields
    assert name not in entity.derived
    assert name not in entity.table.c


@pytest.mark.parametrize("service", sorted({service for service, _ in FIXED}))
async def test_other_values_of_fields_without_an_effect_cause_a_warning(api: Harness, service: str) -> None:
    made = await make(api, service)
    fixed = BY_SERVICE[service].fixed
    assert {name: made[name] for name in fixed} == {name: value for name, (_, value) in fixed.items()}
    response = await api.call("PUT", service, {service: dict.fromkeys(fixed, "x")}, id=made["id"])
    assert response["dbg_info"]["warnings"] == [f"read-only field not used: {service}.{name}" for name in fixed]
    assert {**response[service], "last_modified": 0} == {**made, "last_modified": 0}


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"phone": "+1 555 0100", "custom_data": '{"a": 1}', "send_safety_budget_notifications": True}, None),
        ({"decimal_mark": "comma", "thousand_separator": "period"}, None),
        ({"thousand_separator": "space"}, None),
        ({"decimal_mark": "comma"}, "thousand_separator"),
        ({"thousand_separator": "period"}, "thousand_separator"),
        ({"decimal_mark": "dot"}, "decimal_mark"),
        ({"phone": "5" * 51}, "phone"),
    ],
)
async def test_fields_of_users(api: Harness, fields: Json, fault: str | None) -> None:
    made = await api.create("user", USER)
    assert {name: made[name] for name in ("decimal_mark", "thousand_separator", "phone", "custom_data")} == {
        "decimal_mark": "period",
        "thousand_separator": "comma",
        "phone": "",
        "custom_data": None,
    }
    response = await api.call("PUT", "user", {"user": fields}, id=made["id"])
    if fault is None:
        assert {**response["user"], **fields} == response["user"]
    else:
        assert (response["error_id"], response["error"].split(":")[0]) == ("SYNTAX", fault)


async def test_what_users_are_is_read_only(api: Harness) -> None:
    made = await api.create("user", USER)
    (admin,) = (user for user in (await api.call("GET", "user"))["users"] if user["username"] == "admin")
    assert (made["is_admin"], admin["is_admin"], made["api_login"], made["is_developer"]) == (False, True, True, False)
    response = await api.call("PUT", "user", {"user": {"is_admin": True, "api_login": False}}, id=made["id"])
    unused = [f"read-only field not used: user.{name}" for name in ("is_admin", "api_login")]
    assert (response["dbg_info"]["warnings"], response["user"]["is_admin"]) == (unused, False)
    assert made["password_expires_on"] is None
    object.__setattr__(api.context, "settings", api.context.settings.model_copy(update={"password_days": 30}))
    assert (await api.get("user", made["id"]))["password_expires_on"] > made["last_modified"]
    await api.put("member", 1, {"reporting_decimal_type": "comma"})
    assert (await api.get("user", made["id"]))["entity_reporting_decimal_type"] == "comma"


PACED = {"lifetime_pacing": True, "start_date": "2026-01-01", "end_date": "2026-02-01", "lifetime_budget": 100}
CONTENT = {"organization_name": "Committee", "payment_method_type": "Check"}


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        (PACED, None),
        ({**PACED, "lifetime_pacing_pct": 150, "lifetime_pacing_span": 3, "enable_pacing": True}, None),
        ({"daily_budget": 5, "enable_pacing": True, "lifetime_pacing": False}, None),
        ({**PACED, "lifetime_budget": None}, "lifetime_pacing"),
        ({**PACED, "start_date": None}, "start_date"),
        ({**PACED, "end_date": None}, "end_date"),
        ({**PACED, "daily_budget": 1}, "daily_budget"),
        ({**PACED, "enable_pacing": False}, "enable_pacing"),
        ({"lifetime_pacing_pct": 49}, "lifetime_pacing_pct"),
        ({"lifetime_pacing_span": -1}, "lifetime_pacing_span"),
        *(
            ({"budget_intervals": [{"start_date": "2026-01-01 00:00:00"}], name: value}, name)
            for name, value in (
                *(("enable_pacing", True), ("lifetime_pacing", False)),
                *(("lifetime_pacing_span", 3), ("lifetime_pacing_pct", 100)),
            )
        ),
    ],
)
async def test_pacing_of_insertion_orders(api: Harness, fields: Json, fault: str | None) -> None:
    made = await make(api, "insertion-order")
    response = await api.call("PUT", "insertion-order", {"insertion-order": fields}, id=made["id"])
    if fault is None:
        shown = response["insertion-order"]
        plain = {name: value for name, value in fields.items() if not name.endswith("_date")}
        assert {name: shown[name] for name in plain} == plain
    else:
        assert (response["error_id"], response["error"].split(":")[0]) == ("SYNTAX", fault)


async def test_political_content_of_insertion_orders(api: Harness) -> None:
    made = await make(api, "insertion-order")

    async def put(fields: Json) -> Json:
        return await api.call("PUT", "insertion-order", {"insertion-order": fields}, id=made["id"])

    for fields in ({}, {"is_running_political_ads": True}):
        refused = await put({**fields, "political_content": CONTENT})
        assert (refused["error_id"], refused["error"].split(":")[0]) == ("INTEGRITY", "political_content")
    await api.put("advertiser", made["advertiser_id"], {"is_running_political_ads": True})
    content = (await put({"is_running_political_ads": True, "political_content": CONTENT}))["insertion-order"]
    shown = content["political_content"]
    assert {**shown, **CONTENT} == shown
    assert (shown["billing_name"], shown["government_level"], shown["is_ineligible"]) == (
        "Default Member",
        "both",
        True,
    )
    changed = await put({"political_content": {"political_objective": "Measure 5"}})
    assert changed["insertion-order"]["political_content"] == {**shown, "political_objective": "Measure 5"}
    full: Json = {name: "x" for name in shown if name not in ("payment_method_type", "government_level")}
    full |= {"registration_form": {"file_path": "a.pdf"}, "is_accuracy_acknowledged": True}
    full |= {"is_independent_expenditure_committee": False, "us_fecid": None}
    complete = await put({"political_content": full})
    assert complete["insertion-order"]["political_content"]["is_ineligible"] is False
    assert complete["insertion-order"]["political_content"]["billing_name"] == "Default Member"
    other = await put({"political_content": {"payment_method_type": "Other", "payment_method_other": None}})
    assert other["insertion-order"]["political_content"]["is_ineligible"] is True
    kept = await put({"is_running_political_ads": False})
    assert kept["status"] == "OK"
    assert (await put({"political_content": {"us_fecid": "7"}}))["error_id"] == "INTEGRITY"
    assert (await put({"political_content": None}))["insertion-order"]["political_content"] is None


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"pricing_type": "cpm"}, "cost_cpm"),
        ({"pricing_type": "revshare"}, "revshare"),
        ({}, "revshare"),
        ({"pricing_type": "dynamic", "max_revshare": 0.5}, "revshare"),
        ({"pricing_type": "dynamic", "revshare": 0.5}, "max_revshare"),
        ({"pricing_type": "cpm", "cost_cpm": None}, "cost_cpm"),
        ({"pricing_type": "cpm", "cost_cpm": 1, "max_revshare": 0.5}, "max_revshare"),
    ],
)
async def test_payment_rules_without_the_value_of_their_type(api: Harness, fields: Json, fault: str) -> None:
    world = await api.world()
    body: Any = {"payment-rule": {"name": "R", **fields}}
    refused = await api.call("POST", "payment-rule", body, publisher_id=world["publisher"])
    assert (refused["error_id"], refused["error"].split(":")[0]) == ("SYNTAX", fault)
