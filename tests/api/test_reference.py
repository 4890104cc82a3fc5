"""The read-only services: lookup, currency, label, adserver."""

from __future__ import annotations

import pytest

from tests.api.harness import PASSWORD, Harness

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
    assert (await api.call("GET", "adserver"))["adservers"] == []
    for service in ("currency", "label", "adserver", "lookup"):
        assert (await api.call("POST", service, {}))["error_id"] == "SYNTAX"
