"""The session cookie: which requests may use it and which receive it, for every combination of what browsers send."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import httpx
import pytest

from onebyone.api import ops_endpoints
from onebyone.api.app import Api
from onebyone.resources.context import EngineContext
from onebyone.settings import Settings
from tests.support.api_harness import PASSWORD, Harness, response_of

pytestmark = pytest.mark.anyio

OWN, LOGIN = "http://api.test", f'{{"auth":{{"username":"admin","password":"{PASSWORD}"}}}}'.encode()
ORIGINS = {
    None: True,
    OWN: True,
    "http://api.test:80": True,
    "HTTP://API.test": True,
    "null": False,
    "": False,
    "https://api.test": False,
    "http://api.test:8080": False,
    "http://evil.api.test": False,
    "http://api.test.evil.test": False,
    "http://api.test@evil.test": False,
    "http://evil.test/http://api.test": False,
    "ftp://api.test": False,
}
SITES = {None: True, "same-origin": True, "none": True, "same-site": False, "cross-site": False, "": False}
TYPES = {
    None: "script",
    "application/json": "any",
    "Application/JSON; charset=utf-8": "any",
    "application/x-www-form-urlencoded": "script",
    "application/octet-stream": "script",
    "text/plain": "none",
    "text/plain;charset=UTF-8, application/json": "none",
    "multipart/form-data; boundary=application/json": "none",
}
"""Content type -> who may write with it by cookie."""
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
SERVICES = ("/advertiser", "/current/advertiser", "/v1.16/report", "/advertiser/meta", "/nothing", "/member/")


@dataclass(frozen=True)
class Sent:
    """What a request says about where it comes from."""

    origin: str | None
    site: str | None
    media_type: str | None
    own_header: bool = False

    @property
    def headers(self) -> dict[str, str]:
        named = {"Origin": self.origin, "Sec-Fetch-Site": self.site, "Content-Type": self.media_type}
        named["X-Requested-With"] = "page" if self.own_header else None
        return {name: value for name, value in named.items() if value is not None}

    @property
    def own(self) -> bool:
        # A same-origin page over HTTPS may reach this API through a proxy that was not declared.
        undeclared = self.origin == "https://api.test" and self.site == "same-origin"
        return (ORIGINS[self.origin] or undeclared) and SITES[self.site]

    @property
    def may_write(self) -> bool:
        from_script = self.origin is None and self.site is None
        writers = TYPES[self.media_type]
        return self.own and (self.own_header or writers == "any" or (writers == "script" and from_script))


def all_sent() -> Iterator[Sent]:
    for sent in product(ORIGINS, SITES, TYPES, (False, True)):
        yield Sent(*sent)


async def error_of(api: Harness, method: str, path: str, sent: Sent, **credentials: str) -> tuple[str | None, bool]:
    """Return the error id of an answer, and whether it set the cookie."""
    answer = await api.http.request(method, path, headers={**sent.headers, **credentials}, content=b"{}")
    api.http.cookies.clear()
    return answer.json()["response"].get("error_id"), "set-cookie" in answer.headers


@pytest.mark.parametrize("method", METHODS)
async def test_every_request_by_cookie(api: Harness, method: str) -> None:
    unlimited = process(api, writes_a_minute=10**6, reads_a_minute=10**6)
    wrong = []
    for index, sent in enumerate(all_sent()):
        path = SERVICES[index % len(SERVICES)]
        bodiless = method not in ("POST", "PUT", "PATCH")
        allowed = sent.own if bodiless else sent.may_write
        error_id, sets_cookie = await error_of(unlimited, method, path, sent, Cookie=f"HBFAPI_SESSID={api.token}")
        if (error_id != "UNAUTH") is not allowed or (sets_cookie and not allowed):
            wrong.append((path, sent, error_id))
    assert wrong == []


@pytest.mark.parametrize("method", METHODS)
async def test_no_request_by_header_is_refused_or_gets_the_cookie(api: Harness, method: str) -> None:
    unlimited = process(api, writes_a_minute=10**6, reads_a_minute=10**6)
    for index, sent in enumerate(all_sent()):
        path = SERVICES[index % len(SERVICES)]
        both = {"Authorization": api.token, "Cookie": "HBFAPI_SESSID=other"}
        error_id, sets_cookie = await error_of(unlimited, method, path, sent, **both)
        assert error_id not in ("UNAUTH", "NOAUTH"), (path, sent)
        assert not sets_cookie


async def test_every_login(api: Harness) -> None:
    unlimited = process(api, logins=10**6)
    wrong = []
    for sent in all_sent():
        answer = await unlimited.http.post("/auth", headers=sent.headers, content=LOGIN)
        unlimited.http.cookies.clear()
        status, sets_cookie = answer.json()["response"]["status"], "set-cookie" in answer.headers
        # A form in a very old browser logs in, but leaves the cookie as it was.
        old_form = sent.origin is None and sent.site is None and TYPES[sent.media_type] == "none"
        if (status == "OK", sets_cookie) != (sent.may_write or old_form, sent.may_write):
            wrong.append((sent, status, sets_cookie))
    assert wrong == []


@pytest.mark.parametrize("token", ["", "hbapi:1:0:obo1"])
async def test_a_login_with_a_header_is_untouched(api: Harness, token: str) -> None:
    headers = {"Authorization": token, "Origin": "null", "Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"}
    answer = await api.http.post("/auth", headers=headers, content=LOGIN)
    assert response_of(answer)["status"] == "OK"
    assert "set-cookie" not in answer.headers


async def test_switching_the_user_by_cookie(api: Harness) -> None:
    body = b'{"auth":{"switch_to_user":1}}'
    unlimited = process(api, logins=10**6)
    for sent in all_sent():
        headers = {**sent.headers, "Cookie": f"HBFAPI_SESSID={api.token}"}
        answer = await unlimited.http.post("/auth", headers=headers, content=body)
        unlimited.http.cookies.clear()
        assert (answer.json()["response"]["status"] == "OK") is sent.may_write, sent
        assert ("set-cookie" in answer.headers) is sent.may_write


@pytest.mark.parametrize(
    ("referer", "allowed"),
    [("http://api.test/docs", True), ("http://evil.api.test/", False), ("http://api.test@evil.test/", False)],
)
async def test_referer_stands_in_for_a_missing_origin_of_a_write(api: Harness, referer: str, allowed: bool) -> None:
    headers = {"Cookie": f"HBFAPI_SESSID={api.token}", "Referer": referer}
    answer = await api.http.post("/advertiser", headers=headers, json={"advertiser": {"name": "A"}})
    api.http.cookies.clear()
    assert (response_of(answer)["status"] == "OK") is allowed
    assert response_of(await api.http.get("/member", headers=headers))["status"] == "OK"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "secure"),
    [
        ("127.0.0.0/8", " HTTPS ", True),
        ("127.0.0.0/8", "", False),
        ("127.0.0.0/8", "https,", False),
        ("127.0.0.0/8", "https", True),
        ("127.0.0.0/8", "http, https", True),
        ("127.0.0.0/8", "https, http", False),
        ("127.0.0.0/8", None, False),
        ("10.0.0.0/8", "https", False),
        ("", "https", False),
    ],
)
async def test_the_cookie_is_secure_where_the_connection_is(
    api: Harness, proxies: str, forwarded: str | None, secure: bool
) -> None:
    proxied = process(api, trusted_proxies=proxies)
    headers = {} if forwarded is None else {"X-Forwarded-Proto": forwarded}
    scheme = "https" if secure else "http"
    headers["Origin"] = f"{scheme}://api.test"
    login = await proxied.http.post(
        "/auth", headers=headers, json={"auth": {"username": "admin", "password": PASSWORD}}
    )
    proxied.http.cookies.clear()
    assert login.headers["set-cookie"].endswith("; Secure") is secure
    headers["Cookie"] = login.headers["set-cookie"].partition(";")[0]
    renewed = await proxied.http.get("/member", headers=headers)
    assert renewed.headers["set-cookie"].endswith("; Secure") is secure
    proxied.http.cookies.clear()
    headers["Origin"] = "http://api.test" if secure else "https://api.test"
    assert response_of(await proxied.http.get("/member", headers=headers))["error_id"] == "UNAUTH"


async def test_logging_out_ends_the_session_and_clears_the_cookie(api: Harness) -> None:
    by_cookie = {"Cookie": f"HBFAPI_SESSID={api.token}"}
    foreign = await api.http.delete("/auth", headers={**by_cookie, "Origin": "http://evil.test"})
    assert response_of(foreign)["error_id"] == "UNAUTH"
    assert response_of(await api.http.delete("/auth"))["error_id"] == "NOAUTH"
    other = (await api.login("admin", PASSWORD)).token
    answer = await api.http.delete("/auth", headers=by_cookie)
    assert response_of(answer)["status"] == "OK"
    assert answer.headers["set-cookie"] == "HBFAPI_SESSID=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"
    api.http.cookies.clear()
    assert (await api.send("GET", "/member")).status_code == 401
    api.token = other
    assert (await api.send("GET", "/member")).status_code == 200
    by_header = await api.send("DELETE", "/current/auth")
    assert response_of(by_header)["status"] == "OK"
    assert "set-cookie" not in by_header.headers
    assert (await api.send("DELETE", "/auth")).status_code == 401


def process(api: Harness, **settings: Any) -> Harness:
    """Return the harness of another process on the same store, with these settings."""
    common = {name: getattr(api.context.settings, name) for name in ("database_url", "admin_password")}
    changed = Settings(**common, **settings)
    store = api.context.store
    context = EngineContext(changed, store, api.context.report_store, api.wakes, api.clock)
    app = Api(context, ops_endpoints.create_ops_app(changed, dict, None))  # type: ignore[arg-type]
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=OWN)
    return Harness(http, api.token, store=store, context=context, clock=api.clock, wakes=api.wakes, reports=app.reports)
