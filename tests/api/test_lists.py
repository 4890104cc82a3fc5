"""The read-only services: lookup, currency, label, adserver."""

from __future__ import annotations

import pytest

from tests.support.api_harness import PASSWORD, Harness

pytestmark = pytest.mark.anyio
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)


@ENGINES
async def test_lookup(api: Harness) -> None:
    mine, foreign = await api.world(), await api.world()
    other = await api.second_member()
    found = await api.call("GET", "lookup")
    assert list(found["results"]) == [
        "advertiser",
        "insertion_order",
        "line_item",
        "publisher",
        "site",
        "placement",
        "payment_rule",
    ]
    assert found["results"]["insertion_order"] == {"results": None, "num_elements": 0}
    line = found["results"]["line_item"]["results"][0]
    assert list(line) == ["id", "name", "code", "advertiser_id", "state", "last_modified"]
    assert (line["id"], line["advertiser_id"]) == (mine["line-item"], mine["advertiser"])
    one = await api.call("GET", "lookup", type="line_item", advertiser_id=foreign["advertiser"])
    assert [row["id"] for row in one["results"]["line_item"]["results"]] == [foreign["line-item"]]
    assert (one["num_elements"], list(one["results"])) == (1, ["line_item"])
    assert (await other.call("GET", "lookup"))["num_elements"] == 0
    for query in ({"type": "planet"}, {"advertiser_id": "x"}):
        assert (await api.call("GET", "lookup", **query))["error_id"] == "SYNTAX"
    fields = {"user_type": "advertiser", "advertiser_id": mine["advertiser"]}
    await api.create("user", {"username": "l", "password": PASSWORD, **fields})
    limited = (await (await api.login("l", PASSWORD)).call("GET", "lookup"))["results"]
    assert [row["id"] for row in limited["line_item"]["results"]] == [mine["line-item"]]
    assert limited["publisher"] == {"results": None, "num_elements": 0}


async def test_currencies_labels_and_ad_servers(api: Harness) -> None:
    euro = await api.call("GET", "currency", code="eur")
    assert (euro["currency"]["code"], euro["dbg_info"]["output_term"]) == ("EUR", "currency")
    page = await api.call("GET", "currency", num_elements=2, start_element=1)
    assert (len(page["currencies"]), page["count"] > 100) == (2, True)
    assert (await api.call("GET", "currency", code="XYZ1"))["error_code"] == "NOTFOUND_CURRENCY"
    label = (await api.call("GET", "label", id=7))["label"]
    assert (label["name"], label["object_type"]) == ("Trafficker", "line_item")
    of_publishers = (await api.call("GET", "label", object_type="publisher"))["labels"]
    assert [found["id"] for found in of_publishers] == [2, 4]
    assert (await api.call("GET", "adserver", id=5))["adserver"]["name"] == "AdDynamix"
    assert (await api.call("GET", "adserver"))["adservers"][0] == {
        "id": 0,
        "name": "Other/Unlisted",
        "description": None,
        "type": "adserver",
        "is_appnexus_approved": False,
        "declare_to_adx": False,
        "last_modified": "2010-09-14 22:12:38",
        "is_hidden": False,
        "hostnames": None,
    }
    rates = (await api.call("GET", "currency", code="USD,EUR", show_rate="true"))["currencies"]
    assert [(row["code"], row["rate_per_usd"], row["as_of"]) for row in rates] == [
        ("EUR", None, None),
        ("USD", 1, None),
    ]
    assert "rate_per_usd" not in euro["currency"]
    for service in ("currency", "label", "adserver", "lookup"):
        assert (await api.call("POST", service, {}))["error_id"] == "SYNTAX"


@ENGINES
async def test_label_values(api: Harness) -> None:
    world, other = await api.world(), await api.second_member()
    theirs = await other.create("advertiser", {"name": "B", "labels": [{"id": 1, "value": "Nobody"}]})
    await api.put(
        "advertiser", world["advertiser"], {"labels": [{"id": 1, "value": "Ami"}, {"id": 12, "value": "Big"}]}
    )
    await api.put("publisher", world["publisher"], {"labels": {"id": 2, "value": "Tina"}})
    found = (await api.call("GET", "label", show_values="true", object_type="advertiser"))["labels"]
    ami = [{"object_id": str(world["advertiser"]), "value": "Ami"}]
    assert {label["id"]: label["values"] for label in found} == {
        1: ami,
        3: None,
        5: None,
        12: [{"object_id": str(world["advertiser"]), "value": "Big"}],
    }
    one = await api.call("GET", "label", id=2, show_values="true", object_type="publisher")
    assert one["label"]["values"] == [{"object_id": str(world["publisher"]), "value": "Tina"}]
    await api.create(
        "user", {"username": "p", "password": PASSWORD, "user_type": "publisher", "publisher_id": world["publisher"]}
    )
    limited = await api.login("p", PASSWORD)
    hidden = (await limited.call("GET", "label", show_values="true", object_type="advertiser"))["labels"]
    assert {label["values"] for label in hidden} == {None}
    assert theirs["labels"] == [{"id": 1, "value": "Nobody", "name": "Salesperson"}]
    for kind in ("planet", "user", ""):
        refused = await api.call("GET", "label", show_values="true", object_type=kind)
        assert refused["error"].startswith("object_type: must be one of advertiser, insertion_order, line_item")
