"""`/openapi.json` and `/docs` over HTTP: no login, no second transfer, no foreign host."""

from __future__ import annotations

import pytest

from onebyone.api.openapi import pages
from tests.support.api_contract import described
from tests.support.api_harness import Harness

pytestmark = pytest.mark.anyio


async def test_it_needs_no_login_and_is_not_sent_twice(api: Harness) -> None:
    answer = await api.http.get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json() == described()
    plain = await api.http.get("/openapi.json", headers={"accept-encoding": "identity"})
    assert plain.content == answer.content
    assert plain.headers["etag"] != answer.headers["etag"]
    again = await api.http.get("/openapi.json", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    refused = await api.http.post("/openapi.json")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", pages.PATHS)
async def test_pages_load_nothing_from_elsewhere(api: Harness, path: str) -> None:
    answer = await api.http.get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    if path == "/docs":
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "://" not in answer.text
