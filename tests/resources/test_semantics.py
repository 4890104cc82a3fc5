"""Parameters that all services share: filters, sort, search, fields, meta, codes and append."""

from __future__ import annotations

from typing import Any

import pytest

from onebyone.resources.entities import ENTITIES
from onebyone.resources.entity import Entity
from tests.support.api_harness import Harness, Json

pytestmark = pytest.mark.anyio
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)

PUBLISHERS: tuple[Json, ...] = (
    {"name": "alpha 100%", "code": "A-1", "max_learn_pct": 5, "timezone": "UTC"},
    {"name": "beta", "code": "b-2", "state": "inactive", "max_learn_pct": None, "expose_domains": False},
    {"name": "gamma_x", "max_learn_pct": 20, "description": "third"},
)


@pytest.fixture
async def publishers(api: Harness) -> list[int]:
    """Create three publishers and return their ids."""
    return [(await api.create("publisher", dict(fields)))["id"] for fields in PUBLISHERS]


@ENGINES
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"state": "active"}, [0, 2]),
        ({"state": "active,inactive"}, [0, 1, 2]),
        ({"not_state": "inactive"}, [0, 2]),
        ({"code": "a-1,B-2"}, [0, 1]),
        ({"like_code": "B-"}, [1]),
        ({"name": "beta"}, [1]),
        ({"not_name": "beta,gamma_x"}, [0]),
        ({"like_name": "A"}, [0, 1, 2]),
        ({"like_name": "0%"}, [0]),
        ({"like_name": "_"}, [2]),
        ({"search": "GAM"}, [2]),
        ({"search": "%"}, [0]),
        ({"max_learn_pct": 20}, [2]),
        ({"min_max_learn_pct": 5}, [0, 2]),
        ({"max_max_learn_pct": 5}, [0]),
        ({"nmin_max_learn_pct": 6}, [1, 2]),
        ({"nmax_max_learn_pct": 5}, [0, 1]),
        ({"expose_domains": "false"}, [1]),
        ({"expose_domains": "1", "timezone": "UTC"}, [0]),
        ({"not_timezone": "UTC"}, [1, 2]),
        ({"description": "third"}, [2]),
        ({"min_last_modified": "2020-01-01"}, [0, 1, 2]),
        ({"min_last_modified": "2020-01-01T10:00"}, [0, 1, 2]),
        ({"max_last_modified": "2020-01-01 00:00:00"}, []),
        ({"nmax_last_modified": "2020-01-01+00:00:00"}, []),
        ({"sort": "name.desc"}, [2, 1, 0]),
        ({"sort": "state.desc,id.desc"}, [1, 2, 0]),
        ({"sort": "name.DESC", "state": "active"}, [2, 0]),
    ],
    ids=str,
)
async def test_filters(api: Harness, publishers: list[int], query: Json, found: list[int]) -> None:
    response = await api.call("GET", "publisher", **query)
    assert response["dbg_info"]["warnings"] == []
    names = [publishers.index(publisher["id"]) for publisher in response["publishers"]]
    assert names == found
    assert response["count"] == len(found)


@ENGINES
async def test_filter_by_amount_beyond_all_stored_ones(api: Harness) -> None:
    await api.world()
    for query, found in (
        ({"nmax_cost_cpm": "9" * 15}, 1),
        ({"min_cost_cpm": "9" * 15}, 0),
        ({"cost_cpm": "9" * 15}, 0),
    ):
        assert (await api.call("GET", "payment-rule", **query))["count"] == found


@ENGINES
@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({"advertiser_id": "x"}, "advertiser_id"),
        ({"min_last_modified": "yesterday"}, "min_last_modified"),
        ({"min_last_modified": "2026-02-30"}, "min_last_modified"),
        ({"not_id": "1,two"}, "not_id"),
        ({"max_id": "9" * 30}, "max_id"),
        ({"name": ",".join("x" * 1001)}, "name"),
    ],
    ids=str,
)
async def test_invalid_filter_values(api: Harness, query: Json, path: str) -> None:
    response = await api.call("GET", "imptracker", **query)
    assert (response["error_id"], response["error"].split(":")[0]) == ("SYNTAX", path)


@pytest.mark.parametrize("name", ["colour", "min_name", "like_colour", "having_imps", "max_placements", "doc"])
async def test_unknown_parameters_cause_warnings(api: Harness, publishers: list[int], name: str) -> None:
    response = await api.call("GET", "publisher", **{name: "5"})
    assert response["dbg_info"]["warnings"] == [f"query parameter not used: {name}"]
    assert response["count"] == 3


@ENGINES
@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.service)
async def test_meta_matches_filters_and_sorting(api: Harness, entity: Entity) -> None:
    """Filter and sort by every field whose meta promises it, on an empty table of each engine."""
    response = await api.call("GET", f"{entity.service}/meta")
    assert list(response) == ["status", "fields", "dbg_info"]
    fields = {field["name"]: field for field in response["fields"]}
    assert list(fields) == [*entity.output, "search"]
    assert fields["search"] == {"name": "search", "type": "string", "sort_by": False, "filter_by": True}
    assert fields["id"] == {"name": "id", "type": "int", "sort_by": True, "filter_by": True, "read_only": True}
    samples = {"int": "1", "money": "1.5", "double": "1.5", "date": "2026-01-01", "boolean": "true", "string": "x"}
    query: Json = {
        f"not_{name}": samples[field["type"]] for name, field in fields.items() if field["sort_by"] and name != "id"
    }
    query["sort"] = ",".join(f"{name}.desc" for name, field in fields.items() if field["sort_by"])
    listed = await api.call("GET", entity.service, **({"id": "1,2"} if entity.service == "member" else {}), **query)
    assert (listed["status"], listed["dbg_info"]["warnings"]) == ("OK", [])
    assert (await api.call("POST", f"{entity.service}/meta", {}))["error_id"] == "SYNTAX"


async def test_meta_of_nested_fields(api: Harness) -> None:
    fields = {field["name"]: field for field in (await api.call("GET", "publisher/meta"))["fields"]}
    assert (fields["labels"]["type"], fields["contact"]["type"]) == ("array of objects", "object")
    assert [field["name"] for field in fields["labels"]["fields"]] == ["id", "value"]
    assert fields["placements"]["read_only"] is True
    assert (fields["expose_domains"]["type"], fields["last_modified"]["type"]) == ("boolean", "date")


@ENGINES
async def test_fields_and_add_mappings(api: Harness, publishers: list[int]) -> None:
    listed = await api.call("GET", "publisher", fields="name, state,id", name="beta")
    assert listed["publishers"] == [{"id": publishers[1], "name": "beta", "state": "inactive"}]
    one = await api.call("GET", "publisher", fields="placements,colour", id=publishers[0])
    assert list(one["publisher"]) == ["placements"]
    assert one["dbg_info"]["warnings"] == ["fields: no such field: colour"]
    flat = (await api.call("GET", "publisher", add_mappings="false", id=publishers[0]))["publisher"]
    assert not {"placements", "labels", "contact"} & flat.keys()
    assert flat["billing_city"] is None
    assert flat["is_rtb"] is False


@ENGINES
async def test_append_merges_arrays_by_id(api: Harness) -> None:
    made = await api.create("publisher", {"name": "P", "labels": [{"id": 2, "value": "One"}]})
    both = await api.put("publisher", made["id"], {"labels": [{"id": 4, "value": "Two"}]}, append="true")
    assert [(label["id"], label["value"]) for label in both["labels"]] == [(2, "One"), (4, "Two")]
    changed = await api.put("publisher", made["id"], {"labels": [{"id": "2", "value": "Three"}]}, append="true")
    assert [(label["id"], label["value"]) for label in changed["labels"]] == [(2, "Three"), (4, "Two")]
    replaced = await api.put("publisher", made["id"], {"labels": [{"id": 4, "value": "Four"}]})
    assert [(label["id"], label["value"]) for label in replaced["labels"]] == [(4, "Four")]
    member = await api.put("member", 1, {"redirect_domains": ["a.example", "b.example"]})
    member = await api.put("member", 1, {"redirect_domains": ["b.example", "c.example"]}, append="true")
    assert member["redirect_domains"] == ["a.example", "b.example", "c.example"]


@ENGINES
async def test_objects_by_their_code(api: Harness) -> None:
    one, two = await api.world(), await api.world()
    await api.put("advertiser", one["advertiser"], {"code": "ADV-1"})
    await api.put("advertiser", two["advertiser"], {"code": "ADV-2"})
    for world in (one, two):
        await api.put("line-item", world["line-item"], {"code": "Same"})
    listed = await api.call("GET", "line-item", code="same", advertiser_code="adv-2")
    assert listed["line-item"]["id"] == two["line-item"]
    assert (await api.call("GET", "line-item", advertiser_code="nobody"))["line-items"] == []
    change: Json = {"line-item": {"name": "Changed"}}
    put = await api.call("PUT", "line-item", change, code="SAME", advertiser_code="adv-1")
    assert (put["id"], put["line-item"]["id"]) == (str(one["line-item"]), one["line-item"])
    both = await api.call("PUT", "line-item", change, code="same")
    assert both["error"] == "code: 2 objects have this code, name their owner too"
    for query, error in (
        ({"code": "other"}, "line-item code not found: other"),
        ({"code": "same", "advertiser_code": "zzz"}, "advertiser code not found: zzz"),
    ):
        for method in ("PUT", "DELETE"):
            refused = await api.call(method, "line-item", change, **query)
            assert (refused["error"], refused["error_id"]) == (error, "SYNTAX")
    wrong = await api.call("PUT", "line-item", change, id=one["line-item"], advertiser_code="adv-2")
    assert wrong["error"] == f"line-item id not found: {one['line-item']}"
    made = await api.create("line-item", {"name": "New"}, advertiser_code="Adv-2")
    assert made["advertiser_id"] == two["advertiser"]
    assert (await api.call("DELETE", "line-item", code="same", advertiser_code="ADV-2"))["count"] == 1
    await api.put("publisher", one["publisher"], {"code": "PUB"})
    await api.put("site", one["site"], {"code": "SITE"})
    by_site = await api.create("placement", {"name": "By site"}, site_code="site", publisher_code="pub")
    assert (by_site["publisher_id"], by_site["site_id"]) == (one["publisher"], one["site"])
    assert (await api.call("GET", "placement", publisher_code="PUB"))["count"] == 2


@ENGINES
async def test_codes_of_another_member_are_unknown(api: Harness) -> None:
    other = await api.second_member()
    theirs = await other.world()
    await other.put("advertiser", theirs["advertiser"], {"code": "THEIRS"})
    for method in ("GET", "PUT", "DELETE"):
        body: Any = {"line-item": {"name": "x"}}
        response = await api.call(method, "line-item", body, code="x", advertiser_code="theirs")
        assert response.get("line-items", []) == []
    assert (await other.get("advertiser", theirs["advertiser"]))["code"] == "THEIRS"


@ENGINES
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-03-01", "2026-03-01 00:00:00"),
        ("2026-03-01T10:20:30", "2026-03-01 10:20:30"),
        ("2026-03-01T10:20:30.000", "2026-03-01 10:20:30"),
        ("2026-03-01 10:20", "2026-03-01 10:20:00"),
        ("2026-03-01 10:20:30", "2026-03-01 10:20:30"),
    ],
)
async def test_loose_dates(api: Harness, given: str, kept: str) -> None:
    world = await api.world()
    fields = {"name": "R", "revshare": 0, "start_date": given}
    assert (await api.create("payment-rule", fields, publisher_id=world["publisher"]))["start_date"] == kept
