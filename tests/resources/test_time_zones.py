"""Every service that takes a time zone takes the same ones, and objects keep the zone that they have."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from onebyone.config_store import tables
from onebyone.runtime import sql
from tests.support.api_harness import PASSWORD, Harness, Json

pytestmark = pytest.mark.anyio

ALLOWED = ("America/Caracas", "Asia/Pyongyang", "US/Eastern", "Etc/GMT+12")
UNALIGNED = (
    "Asia/Kolkata",
    "Asia/Calcutta",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Iran",
    "NZ-CHAT",
    "Pacific/Marquesas",
)
UNKNOWN = ("localtime", "Factory", "Mars/Phobos", "asia/tokyo")


async def _objects_with_zones(api: Harness) -> dict[str, int]:
    world = await api.world()
    owner = {"advertiser_id": world["advertiser"]}
    await api.put("advertiser", world["advertiser"], {"use_insertion_orders": True})
    order = await api.create("insertion-order", {"name": "O"}, **owner)
    user = await api.create("user", {"username": "zones", "password": PASSWORD})
    member = (await api.call("GET", "member"))["member"]
    return {
        **{service: world[service] for service in ("advertiser", "line-item", "publisher", "payment-rule")},
        "insertion-order": order["id"],
        "user": user["id"],
        "member": member["id"],
    }


async def test_one_rule_for_all_services(api: Harness) -> None:
    for service, row_id in (await _objects_with_zones(api)).items():
        for zone in ALLOWED:
            assert (await api.put(service, row_id, {"timezone": zone}))["timezone"] == zone, service
        for zone in (*UNALIGNED, *UNKNOWN):
            refused = await api.call("PUT", service, {service: {"timezone": zone}}, id=row_id)
            reason = "not a known time zone" if zone in UNKNOWN else "the time zone is not a whole number of hours"
            assert f"timezone: {reason}" in refused["error"], (service, zone)


async def test_objects_keep_a_zone_that_is_no_longer_allowed(api: Harness) -> None:
    """Before the offsets decided, an alias such as Asia/Calcutta was accepted."""
    advertiser = await api.create("advertiser", {"name": "A"})
    await _store_zone(api, advertiser["id"], "Asia/Calcutta")
    kept = await api.put("advertiser", advertiser["id"], {"name": "B"})
    assert (kept["name"], kept["timezone"]) == ("B", "Asia/Calcutta")
    assert (await api.put("advertiser", advertiser["id"], {"timezone": "Asia/Calcutta"}))["name"] == "B"
    dated = {"name": "L", "start_date": "2026-03-01T00:00:00Z"}
    line: Json = await api.create("line-item", dated, advertiser_id=advertiser["id"])
    assert (line["timezone"], line["start_date"]) == ("Asia/Calcutta", "2026-03-01 05:30:00")
    moved = await api.put("line-item", line["id"], {"start_date": "2026-04-01T00:00:00Z"})
    assert moved["start_date"] == "2026-04-01 05:30:00"
    other = {"advertiser": {"timezone": "Asia/Kolkata"}}
    refused = await api.call("PUT", "advertiser", other, id=advertiser["id"])
    assert "timezone: the time zone is not a whole number of hours" in refused["error"]


async def _store_zone(api: Harness, advertiser_id: int, zone: str) -> None:
    table = tables.advertiser
    async with sql.writing(api.store) as connection:
        doc = await connection.scalar(select(table.c.doc).where(table.c.id == advertiser_id))
        changed = {**(doc or {}), "timezone": zone}
        await connection.execute(update(table).where(table.c.id == advertiser_id).values(doc=changed))
