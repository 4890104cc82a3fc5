"""Dates that name a time zone of their own: they become those of the object, or of UTC in filters."""

from __future__ import annotations

import pytest

from tests.support.api_harness import Harness, Json

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("zone", "sent", "kept"),
    [
        ("UTC", "2026-03-01T10:20:30Z", "2026-03-01 10:20:30"),
        ("UTC", "2026-03-01T10:20:30+02:00", "2026-03-01 08:20:30"),
        ("America/New_York", "2026-03-01T10:20:30.000Z", "2026-03-01 05:20:30"),
        ("America/New_York", "2026-07-01T03:00:00Z", "2026-06-30 23:00:00"),
        ("America/New_York", "2026-11-01T05:30:00Z", "2026-11-01 01:30:00"),
    ],
)
async def test_dates_become_those_of_the_object(api: Harness, zone: str, sent: str, kept: str) -> None:
    world = await api.world()
    fields = {"name": "R", "revshare": 0, "start_date": sent, "timezone": zone}
    rule = await api.create("payment-rule", fields, publisher_id=world["publisher"])
    assert rule["start_date"] == kept
    await api.put("line-item", world["line-item"], {"timezone": zone})
    assert (await api.put("line-item", world["line-item"], {"start_date": sent}))["start_date"] == kept
    advertiser = await api.create("advertiser", {"name": "A", "timezone": zone})
    line = await api.create("line-item", {"name": "L", "start_date": sent}, advertiser_id=advertiser["id"])
    assert (line["start_date"], line["timezone"]) == (kept, zone)


async def test_dates_inside_parts_of_an_object(api: Harness) -> None:
    advertiser = await api.create("advertiser", {"name": "A", "timezone": "Europe/Berlin"})
    interval = {"start_date": "2026-07-01T10:00:00Z", "end_date": "2026-07-01T23:59:59+02:00"}
    fields: Json = {"name": "L", "budget_intervals": [interval]}
    line = await api.create("line-item", fields, advertiser_id=advertiser["id"])
    shown = line["budget_intervals"][0]
    assert (shown["start_date"], shown["end_date"]) == ("2026-07-01 12:00:00", "2026-07-01 23:59:59")


async def test_refused_dates_say_why(api: Harness) -> None:
    world = await api.world()
    for sent, error in (
        ("2026-11-01T06:30:00Z", "start_date: is ambiguous in the time zone EST5EDT, where clocks are set back"),
        ("2026-03-01T10:00:00.5Z", "start_date: must be a whole second"),
        ("01/03/2026", "start_date: must be YYYY-MM-DD HH:MM:SS"),
    ):
        refused = await api.call("PUT", "line-item", {"line-item": {"start_date": sent}}, id=world["line-item"])
        assert refused["error"] == error
    both = {"line-item": {"start_date": "2026-03-01T10:00:00Z", "timezone": "nowhere"}}
    refused = await api.call("PUT", "line-item", both, id=world["line-item"])
    assert "timezone: not a known time zone" in refused["error"]


@pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)
async def test_filters_with_zones(api: Harness) -> None:
    made = await api.create("advertiser", {"name": "A"})
    moment = made["last_modified"].replace(" ", "T")
    for text in (moment, f"{moment}Z", f"{moment}.000Z", f"{moment}+00:00"):
        found = await api.call("GET", "advertiser", last_modified=text)
        assert found["count"] == 1, text
    assert (await api.call("GET", "advertiser", min_last_modified=f"{moment}-01:00"))["count"] == 0
    assert (await api.call("GET", "advertiser", max_last_modified=f"{moment}+01:00"))["count"] == 0
    world = await api.world()
    await api.put("line-item", world["line-item"], {"start_date": "2026-03-01 10:00:00"})
    assert (await api.call("GET", "line-item", min_start_date="2026-03-01T10:00:00"))["count"] == 1
    refused = await api.call("GET", "line-item", min_start_date="2026-03-01T10:00:00Z")
    assert refused["error"].startswith("min_start_date: not a date (YYYY-MM-DD HH:MM:SS; with a time zone only where")
    assert (await api.call("GET", "line-item", min_first_run="2026-03-01T10:00:00Z"))["count"] == 0
