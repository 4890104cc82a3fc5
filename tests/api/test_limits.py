"""Limits on requests a minute, logins in five minutes and objects of a member, and what clients receive beyond them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace

import httpx
import pytest
import redis.asyncio

from onebyone.api import ops_endpoints
from onebyone.api.app import Api
from onebyone.api.pipeline_lag import PipelineLagMeter
from onebyone.auth import login_guard, passwords
from onebyone.runtime import redis_client
from tests.support.api_harness import MINUTE_MS, PASSWORD, Client, Harness, Json, response_of
from tests.support.valkey import ValkeyProcess

pytestmark = pytest.mark.anyio
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)


def process(api: Harness, settings: Json, cache: redis.asyncio.Redis | None = None) -> Client:
    """Return a client of another API process on the same store, with its own settings."""
    changed = api.context.settings.model_copy(update=settings)
    context = replace(api.context, settings=changed)
    sink = PipelineLagMeter(changed, context.report_store)
    app = Api(context, ops_endpoints.create_ops_app(changed, dict, sink.measure), cache)
    return Client(httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test"), api.token)


@pytest.mark.parametrize(("method", "kind"), [("GET", "reads"), ("DELETE", "writes")])
async def test_requests_beyond_the_minute_limit(api: Harness, method: str, kind: str) -> None:
    client = process(api, {f"{kind}_a_minute": 2})
    api.clock.to_next_minute()
    for _ in range(2):
        answer = await client.send(method, "/imptracker?id=1,2")
        assert answer.status_code == 200
    answer = await client.send(method, "/imptracker?id=1,2")
    response = response_of(answer)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert answer.headers["x-ratelimit-code"] == "429"
    assert (answer.headers["x-ratelimit-count"], answer.headers["x-an-user-id"]) == ("3", "1")
    assert answer.headers[f"x-ratelimit-{kind[:-1]}"] == "2"
    assert answer.headers[f"x-count-{kind[:-1]}"] == "user:3"
    assert (response["error_id"], response["error_code"]) == ("SYSTEM", "RATE_EXCEEDED")
    assert response["error_description"] == "rate limit has been exceeded"
    assert response["dbg_info"][f"{kind[:-1]}_limit"] == 2
    other = "DELETE" if method == "GET" else "GET"
    assert (await client.send(other, "/imptracker?id=1,2")).status_code == 200
    api.clock.ahead_ms += MINUTE_MS
    assert (await client.send(method, "/imptracker?id=1,2")).status_code == 200


async def test_processes_share_counts_and_survive_the_cache_server(api: Harness, valkey: ValkeyProcess) -> None:
    caches = [redis_client.connect(valkey.url) for _ in range(2)]
    one, two = (process(api, {"reads_a_minute": 3}, cache) for cache in caches)
    api.clock.to_next_minute()
    counts = [(await client.send("GET", "/member")).headers["x-count-read"] for client in (one, two, one)]
    assert counts == ["user:1", "user:2", "user:3"]
    assert (await two.send("GET", "/member")).status_code == 429
    valkey.kill()
    api.clock.ahead_ms += MINUTE_MS
    assert (await two.send("GET", "/member")).headers["x-count-read"] == "user:1"
    for cache in caches:
        await cache.aclose()


@ENGINES
async def test_eleventh_login_within_five_minutes(api: Harness) -> None:
    async def login() -> httpx.Response:
        answer = await api.http.post("/auth", json={"auth": {"username": "admin", "password": PASSWORD}})
        api.http.cookies.clear()
        return answer

    assert [(await login()).status_code for _ in range(9)] == [200] * 9
    refused = await login()
    response = response_of(refused)
    assert (refused.status_code, response["error_code"]) == (429, "RATE_EXCEEDED")
    assert 0 < int(refused.headers["retry-after"]) <= 300
    wrong = await api.http.post("/auth", json={"auth": {"username": "admin", "password": "wrong"}})
    assert response_of(wrong)["error_id"] == "NOAUTH"
    api.clock.ahead_ms += 301_000
    assert (await login()).status_code == 200


@ENGINES
async def test_objects_beyond_the_member_limit(api: Harness) -> None:
    client = process(api, {"object_limits": "publisher=2,site=9"})
    await client.create("publisher", {"name": "One"})
    await client.create("publisher", {"name": "Two", "state": "inactive"})
    refused = await client.call("POST", "publisher", {"publisher": {"name": "Three"}})
    assert (refused["error_id"], refused["error"]) == ("LIMIT", "publisher: the member has reached its limit of 2")
    assert (await client.call("GET", "publisher"))["count"] == 2
    shown = await client.call("GET", "object-limit", object_type="publisher")
    assert (shown["count"], shown["start_element"], shown["num_elements"]) == (None, None, None)
    assert shown["object-limits"] == [
        {
            "object_type": "publisher",
            "limit": 2,
            "mapping_limits": [],
            "count_active": 1,
            "count_inactive": 1,
            "count_total": 2,
        }
    ]
    everything = await client.call("GET", "object-limit")
    shown_types = [entry["object_type"] for entry in everything["object-limits"]]
    assert shown_types == ["publisher", "site", "creative", "campaign", "profile", "domain_list"]
    assert (await client.call("GET", "object-limit", object_type="planet"))["error_id"] == "SYNTAX"
    other = await api.second_member()
    assert (await other.call("POST", "publisher", {"publisher": {"name": "Theirs"}}))["status"] == "OK"


@pytest.mark.parametrize(
    ("object_type", "limit", "mapping_limits", "count"),
    [
        ("creative", 10_000, [], 0),
        ("campaign", 10_000, [], 0),
        ("domain_list", None, {"domains": 30_000}, None),
        (
            "profile",
            None,
            {
                **{"segment_targets": 400, "segment_group_targets": 400, "publisher_targets": 300, "site_targets": 100},
                **{"placement_targets": 250, "inventory_source_targets": 500, "content_category_targets": 300},
                **{"platform_content_category_targets": 300, "zip_targets": 4000},
            },
            None,
        ),
    ],
)
async def test_recorded_limits_of_types_without_a_service(
    api: Harness, object_type: str, limit: int | None, mapping_limits: object, count: int | None
) -> None:
    shown = await api.call("GET", "object-limit", object_type=object_type)
    counts = dict.fromkeys(("count_active", "count_inactive", "count_total"), count)
    expected = {"object_type": object_type, "limit": limit, "mapping_limits": mapping_limits, **counts}
    assert shown["object-limits"] == [expected]
    line_items = await api.call("GET", "object-limit", object_type="campaign_group")
    assert line_items["object-limits"][0]["object_type"] == "line_item"


async def test_flood_of_logins_is_rejected_without_blocking_writes(
    api: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Hashes are cheap in these tests; here a verification takes as long as in production.
    monkeypatch.setattr(passwords, "_verify", lambda *_: time.sleep(0.1))

    async def wrong() -> str:
        body = {"auth": {"username": "admin", "password": "wrong"}}
        answer = await api.http.post("/auth", json=body)
        return str(answer.json()["response"].get("error_code") or answer.json()["response"]["error_id"])

    flood = [asyncio.create_task(wrong()) for _ in range(60)]
    await asyncio.sleep(0)
    fields = {"username": "writer@b.example", "password": "A-good-Pass-2026", "email": "writer@b.example"}
    fields |= {"first_name": "A", "last_name": "B", "user_type": "member"}
    made = await api.send("POST", "/user", json={"user": fields})
    assert made.json()["response"].get("status") == "OK", made.text
    outcomes = Counter(await asyncio.gather(*flood))
    assert set(outcomes) == {"RATE_EXCEEDED", "NOAUTH"}
    assert outcomes["NOAUTH"] == login_guard.PEER_PLACES, "one peer leaves places to others"
