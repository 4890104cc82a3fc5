"""`publisher`: the owner of sites, placements and payment rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.config_store import tables
from onebyone.resources import labels
from onebyone.resources.entities.payment_rule import base_payment_rule
from onebyone.resources.entities.site import placements_of
from onebyone.resources.entity import Carried, Entity, Values
from onebyone.resources.fields import (
    Body,
    Boolean,
    Code,
    Currency,
    Integer,
    Name,
    ObjectId,
    Percent,
    State,
    Text100,
    Text255,
    TimeZone,
    as_list,
)
from onebyone.resources.inherited_defaults import inherit_zone_and_currency
from onebyone.resources.unit_of_work import UnitOfWork

NEVER_EXPOSED = "1970-01-01 00:00:01"
"""`reselling_exposed_on` of a publisher that was never public, as in the documents."""


class PublisherLabel(labels.Labelled):
    id: Annotated[Integer, AfterValidator(labels.label_id_validator("publisher"))]


class PublisherContact(Body):
    shown = ("id",)
    name: Text255 | None = None
    phone: Text255 | None = None
    email: Text255 | None = None


class BrandException(Body):
    brand_id: ObjectId


class _PublisherBody(Body):
    code: Code = None
    reselling_name: Text255 | None = None
    expose_domains: Boolean = True
    reselling_exposure: Literal["public", "private"] = "private"
    timezone: TimeZone | None = None
    max_learn_pct: Percent | None = 0
    accept_demand_partner_usersync: Boolean | None = None
    learn_bypass_cpm: Integer | None = 5
    ad_quality_advanced_mode_enabled: Boolean = True
    allow_report_on_default_imps: Boolean = False
    name: Name
    description: Text255 | None = ""
    state: State = "active"
    default_site_id: ObjectId | None = None
    default_ad_profile_id: ObjectId | None = None
    billing_dba: Text100 | None = None
    billing_address1: Text100 | None = None
    billing_address2: Text100 | None = None
    billing_city: Text100 | None = None
    billing_state: Text100 | None = None
    billing_zip: Text100 | None = None
    billing_country: Text100 | None = None
    accept_supply_partner_usersync: Boolean | None = None
    accept_data_provider_usersync: Boolean | None = None
    ym_profile_id: ObjectId | None = None
    allow_cpm_managed: Boolean = True
    allow_cpm_external: Boolean = True
    allow_cpa_managed: Boolean = True
    allow_cpa_external: Boolean = False
    allow_cpc_managed: Boolean = True
    allow_cpc_external: Boolean = False
    managed_cpc_bias_pct: Percent = 100
    managed_cpa_bias_pct: Percent = 100
    external_cpc_bias_pct: Percent = 100
    external_cpa_bias_pct: Percent = 100
    is_oo: Boolean = False
    base_payment_rule_id: ObjectId | None = None
    base_ad_quality_rule_id: ObjectId | None = None
    currency: Currency | None = None
    visibility_profile_id: ObjectId | None = None
    enable_cookie_tracking_default: Boolean = True
    seller_page_cap_enabled: Boolean = False
    billing_internal_user: Integer | None = None
    labels: Annotated[list[PublisherLabel], Field(max_length=10), BeforeValidator(as_list)] | None = None
    publisher_brand_exceptions: (
        Annotated[list[BrandException], Field(max_length=1000), BeforeValidator(as_list)] | None
    ) = None
    inventory_relationship: Literal[
        "unknown", "owned_operated", "direct", "indirect_single_publisher", "indirect_multiple_publishers"
    ] = "unknown"
    inventory_source: Literal["other", "rubicon", "openx", "pubmatic", "aol"] | None = None
    inventory_source_name: Text255 | None = None
    contact: PublisherContact | None = None
    use_anx_auction_logic: Boolean = False


_DEFAULT_CHILDREN = ("default_site_id", "base_payment_rule_id")
_FIELDS = tuple(_PublisherBody.model_fields)
_READ_ONLY = {
    "is_rtb": False,
    "cpm_reselling_disabled": False,
    "cpc_reselling_disabled": False,
    "disclosure_status": "undisclosed",
    "pitbull_segment_id": 0,
    "pitbull_segment_value": 0,
}


class Publisher(Entity):
    """A managed publisher. It starts with a base payment rule and, by default, a default site and placement."""

    service = "publisher"
    table = tables.publisher
    body = _PublisherBody
    code_owner = "member_id"
    immutable = frozenset({"currency"})
    partial = frozenset({"contact", "labels"})
    flags = {"create_default_placement": "create"}  # noqa: RUF012
    derived = {  # noqa: RUF012
        "is_rtb": "boolean",
        "reselling_exposed_on": "date",
        "cpm_reselling_disabled": "boolean",
        "cpc_reselling_disabled": "boolean",
        "platform_ops_notes": "string",
        "labels": "array of objects",
        "placements": "array of objects",
        "default_placement_id": "int",
        "external_inv_codes": "array of objects",
        "contact_info": "object",
        "disclosure_status": "string",
        "pitbull_segment_id": "int",
        "pitbull_segment_value": "int",
    }
    output = (
        "id",
        "code",
        "reselling_name",
        "expose_domains",
        "is_rtb",
        "reselling_exposure",
        "reselling_exposed_on",
        "timezone",
        "last_modified",
        "max_learn_pct",
        "accept_demand_partner_usersync",
        "learn_bypass_cpm",
        "ad_quality_advanced_mode_enabled",
        "allow_report_on_default_imps",
        "member_id",
        *_FIELDS[_FIELDS.index("name") : _FIELDS.index("enable_cookie_tracking_default")],
        "cpm_reselling_disabled",
        "cpc_reselling_disabled",
        "platform_ops_notes",
        *_FIELDS[_FIELDS.index("enable_cookie_tracking_default") : _FIELDS.index("labels")],
        "labels",
        "placements",
        "external_inv_codes",
        "contact_info",
        *_FIELDS[_FIELDS.index("publisher_brand_exceptions") :],
        "disclosure_status",
        "pitbull_segment_id",
        "pitbull_segment_value",
        "default_placement_id",
    )

    async def check(self, work: UnitOfWork, values: Values, stored: Values | None, owners: Values) -> None:
        member = await work.member_row()
        inherit_zone_and_currency(values, member)
        if values["inventory_relationship"] != "unknown":
            values["is_oo"] = values["inventory_relationship"] == "owned_operated"
        if work.request.documented_publisher_rules:
            _check_documented(work, values, stored)
        source, kind = values["inventory_source"], values["inventory_relationship"]
        if values["inventory_source_name"] is None and (source == "other" or kind == "indirect_single_publisher"):
            work.invalid("inventory_source_name", f"required with {source or kind}")
        old = {} if stored is None else stored["doc"]
        if values["contact"] is not None:
            values["contact"]["id"] = (old.get("contact") or {}).get("id") or await work.new_part_id()
        exposed = old.get("reselling_exposed_on", NEVER_EXPOSED)
        if values["reselling_exposure"] == "public" and old.get("reselling_exposure") != "public":
            exposed = work.now
        values["reselling_exposed_on"] = exposed
        if stored is None:
            for field in (name for name in _DEFAULT_CHILDREN if values[name] is not None):
                work.warn(f"{field}: not used, a new publisher gets its own")
            values |= dict.fromkeys(_DEFAULT_CHILDREN)
            return
        if values["base_payment_rule_id"] is None:
            values["base_payment_rule_id"] = stored["base_payment_rule_id"]
        for field, table in (("default_site_id", tables.site), ("base_payment_rule_id", tables.payment_rule)):
            if values[field] is not None and not await work.exists(
                table, table.c.id == values[field], table.c.publisher_id == stored["id"]
            ):
                work.conflict(field, f"{table.name.replace('_', '-')} id not found in this publisher: {values[field]}")

    async def created(self, work: UnitOfWork, row: Values, carried: Carried) -> None:
        owner = {"publisher_id": row["id"], "state": "active", "doc": {}}
        links = {"base_payment_rule_id": await work.insert(tables.payment_rule, {**owner, **base_payment_rule()})}
        if work.request.flags.get("create_default_placement", True):
            name = f"[{row['name'][:230]}]"
            site_id = await work.insert(tables.site, {**owner, "name": f"{name} - ROS"})
            await work.insert(tables.placement, {**owner, "name": f"{name} - Default", "site_id": site_id})
            links["default_site_id"] = site_id
        await work.update(self.table, row["id"], links)

    async def modified(self, work: UnitOfWork, before: Values, after: Values, carried: Carried) -> None:
        if any(before[field] != after[field] for field in _DEFAULT_CHILDREN):
            await work.republish_trackers("publisher_id", before["id"])

    async def delete(self, work: UnitOfWork, ids: Sequence[int]) -> None:
        if await work.is_tracked("publisher_id", ids):
            work.conflict("id", "a tracker still uses the publisher")
            return
        for table in (tables.placement, tables.site, tables.payment_rule):
            await work.delete(table, table.c.publisher_id.in_(ids))
        await super().delete(work, ids)

    async def related(self, connection: AsyncConnection, rows: Sequence[Values]) -> dict[int, Values]:
        shown = await placements_of(connection, "publisher_id", rows)
        for row in rows:
            first = (shown[row["id"]]["placements"] or [None])[0] if row["default_site_id"] else None
            shown[row["id"]]["default_placement_id"] = first and first["id"]
            shown[row["id"]] |= {**_READ_ONLY, "labels": labels.with_label_names(row["doc"].get("labels"))}
        return shown


def _check_documented(work: UnitOfWork, values: Values, stored: Values | None) -> None:
    """Apply the rules of the documents that recorded responses do not follow (`ONEBYONE_PUBLISHER_RULES`)."""
    if stored is None and "state" not in work.request.sent:
        values["state"] = "inactive"
    needed = ["billing_dba", "contact"]
    if values["inventory_relationship"] == "direct":
        needed += [f"billing_{part}" for part in ("address1", "city", "state", "zip", "country")]
    for field in needed:
        if not values[field]:
            work.invalid(field, "required")
    if stored is None and "inventory_relationship" not in work.request.sent:
        work.invalid("inventory_relationship", "required")
