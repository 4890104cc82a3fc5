"""Transport, logins and malformed requests: every refusal is an envelope."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from onebyone.auth.sessions import IDLE_MS, TOUCH_MS
from onebyone.clock import DAY_MS
from tests.support.api_harness import PASSWORD, Harness, response_of

pytestmark = pytest.mark.anyio


async def test_login_matches_the_sample(api: Harness) -> None:
    answer = await api.http.post(
        "/auth",
        content=b'{"auth":{"username":"admin","password":"%s"}}' % PASSWORD.encode(),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    response = response_of(answer)
    assert answer.status_code == 200
    assert list(response) == ["status", "token", "dbg_info"]
    prefix, user_id, secret, _ = response["token"].split(":")
    assert (prefix, user_id, len(secret)) == ("hbapi", "1", 32)
    expected = f"HBFAPI_SESSID={quote(response['token'], safe='')}; Path=/; HttpOnly; SameSite=Strict"
    assert answer.headers["set-cookie"] == expected
    assert answer.headers["cache-control"].startswith("no-store")


@pytest.mark.parametrize(
    ("username", "password"), [("admin", "wrong"), ("nobody", PASSWORD), ("", ""), ("é" * 300, "x")]
)
async def test_wrong_login(api: Harness, username: str, password: str) -> None:
    answer = await api.http.post("/auth", json={"auth": {"username": username, "password": password}})
    response = response_of(answer)
    assert (answer.status_code, response["error_id"]) == (401, "NOAUTH")
    assert response["error"] == "No match found for user/pass"


async def test_token_is_stored_hashed(api: Harness) -> None:
    async with api.store.connect() as connection:
        found = (await connection.exec_driver_sql("SELECT token_hash FROM session")).scalars().all()
    assert all(len(text) == 64 and text not in api.token for text in found)


@pytest.mark.parametrize("token", ["", "hbapi:1:00000000000000000000000000000000:obo1", "x" * 5000, "\xff"])
async def test_no_session(api: Harness, token: str) -> None:
    answer = await api.http.get("/member", headers=[(b"Authorization", token.encode("latin-1"))])
    response = response_of(answer)
    assert (answer.status_code, response["error_id"], response["service"]) == (401, "NOAUTH", "member")


async def test_cookie_login_and_renewal(api: Harness) -> None:
    cookie = {"Cookie": f"a=b; HBFAPI_SESSID={quote(api.token, safe='')}"}
    answer = await api.http.get("/member", headers=cookie)
    assert response_of(answer)["status"] == "OK"
    assert answer.headers["set-cookie"].startswith(f"HBFAPI_SESSID={quote(api.token, safe='')};")
    api.http.cookies.clear()
    for site, allowed in {"cross-site": False, "same-site": False, "same-origin": True, "none": True}.items():
        crossed = await api.http.get("/member", headers={**cookie, "Sec-Fetch-Site": site})
        assert (response_of(crossed).get("error_id") != "UNAUTH") is allowed, site
        api.http.cookies.clear()
    by_header = await api.send("GET", "/member", headers={"Sec-Fetch-Site": "cross-site"})
    assert response_of(by_header)["status"] == "OK"


async def test_session_slides_until_its_lifetime(api: Harness) -> None:
    async def alive() -> bool:
        return (await api.send("GET", "/member")).status_code == 200

    step = IDLE_MS - TOUCH_MS
    used = 0
    while used + step < DAY_MS:
        used += step
        api.clock.ahead_ms = used
        assert await alive()
    api.clock.ahead_ms = DAY_MS + 1000
    assert not await alive()


async def test_idle_session_ends(api: Harness) -> None:
    api.clock.ahead_ms = IDLE_MS + TOUCH_MS + 1000
    assert (await api.send("GET", "/member")).status_code == 401


@pytest.mark.parametrize("prefix", ["", "/current", "/v1.16"])
async def test_version_prefixes(api: Harness, prefix: str) -> None:
    assert response_of(await api.send("GET", f"{prefix}/member"))["member"]["id"] == 1


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "imptracker: the body must be"),
        (b"{", "the body is not JSON"),
        (b"name=x", "the body is not JSON"),
        (b"\xff\xfe", "the body is not JSON"),
        (b'{"imptracker":{"name":"\\ud800"}}', "the body is not JSON"),
        (b"[" * 5000, "the body is not JSON"),
        (b"[]", "imptracker: the body must be"),
        (b"null", "imptracker: the body must be"),
        (b'{"clicktracker":{}}', "imptracker: the body must be"),
        (b'{"imptracker":[]}', "imptracker: the body must be"),
        (b'{"imptracker":{"name":"' + b"x" * 1_100_000 + b'"}}', "the body is larger than"),
    ],
)
async def test_malformed_bodies(api: Harness, content: bytes, text: str) -> None:
    answer = await api.send("POST", "/imptracker?advertiser_id=1", content=content)
    response = response_of(answer)
    assert (answer.status_code, response["error_id"]) == (200, "SYNTAX")
    assert response["error"].startswith(text)
    assert (await api.call("GET", "imptracker"))["count"] == 0


@pytest.mark.parametrize(
    ("query", "body", "names"),
    [
        ("", {}, ["A", "B", "C"]),
        ("", {"start_element": 1, "batch_size": 100}, ["B", "C"]),
        ("", {"start_element": "1", "num_elements": 1}, ["B"]),
        ("", {"name": ["C", "A"], "sort": "name.desc"}, ["C", "A"]),
        ("?name=B", {"name": "A", "num_elements": 5}, ["B"]),
        ("", {"name": None, "search": {"deep": "A"}}, ["A", "B", "C"]),
        ("", [], ["A", "B", "C"]),
    ],
    ids=["none", "numbers", "text", "list", "the query string wins", "no plain values", "no object"],
)
async def test_read_parameters_in_the_body(api: Harness, query: str, body: object, names: list[str]) -> None:
    for name in "ABC":
        await api.create("advertiser", {"name": name})
    response = response_of(await api.send("GET", f"/advertiser{query}", json=body))
    assert [advertiser["name"] for advertiser in response["advertisers"]] == names


async def test_read_one_object_by_id_in_the_body(api: Harness) -> None:
    made = await api.create("advertiser", {"name": "A"})
    response = response_of(await api.send("GET", "/advertiser", json={"id": made["id"]}))
    assert response["advertiser"] == made
    assert response_of(await api.send("GET", "/user", json={"current": True}))["user"]["id"] == 1
    assert response_of(await api.send("DELETE", "/advertiser", json={"id": made["id"]}))["error_id"] == "SYNTAX"


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"{", "the body is not JSON"), (b'{"name":"\\u0000"}', "a parameter in the body holds a NUL")],
)
async def test_malformed_bodies_of_reads(api: Harness, content: bytes, text: str) -> None:
    response = response_of(await api.send("GET", "/advertiser", content=content))
    assert (response["error_id"], response["error"][: len(text)]) == ("SYNTAX", text)


@pytest.mark.parametrize(
    ("method", "path", "error_id"),
    [
        ("PATCH", "/imptracker", "SYNTAX"),
        ("OPTIONS", "/imptracker", "SYNTAX"),
        ("POST", "/member", "SYNTAX"),
        ("GET", "/auth", "SYNTAX"),
        ("GET", "/nothing", "SYNTAX"),
        ("GET", "/imptracker/5", "SYNTAX"),
        ("GET", "/", "SYNTAX"),
        ("GET", "/imptracker?state=%00", "SYNTAX"),
        ("GET", "/imptracker?id=", "SYNTAX"),
        ("GET", "/imptracker?id=1,", "SYNTAX"),
        ("GET", "/imptracker?id=99999999999999999999", "SYNTAX"),
        ("GET", "/imptracker?advertiser_id=x", "SYNTAX"),
        ("GET", "/imptracker?start_element=-1", "SYNTAX"),
        ("GET", "/imptracker?num_elements=0", "SYNTAX"),
        ("GET", "/imptracker?num_elements=ten", "SYNTAX"),
        ("GET", "/imptracker?sort=doc.asc", "SYNTAX"),
        ("GET", "/imptracker?sort=id.up", "SYNTAX"),
        ("PUT", "/imptracker", "SYNTAX"),
        ("PUT", "/imptracker?id=1,2", "SYNTAX"),
        ("DELETE", "/imptracker", "SYNTAX"),
        ("DELETE", "/imptracker?state=active", "SYNTAX"),
        ("DELETE", "/imptracker?id=" + ",".join(map(str, range(1, 1500))), "SYNTAX"),
    ],
)
async def test_unknown_services_and_methods(api: Harness, method: str, path: str, error_id: str) -> None:
    answer = await api.send(method, path)
    assert (answer.status_code, response_of(answer)["error_id"]) == (200, error_id)


@pytest.mark.parametrize("path", ["/imptracker?name=%00", "/nothing?%00=1", "/imptracker/meta?%00"])
async def test_bad_query_without_session_reveals_nothing(api: Harness, path: str) -> None:
    answer = await api.http.get(path)
    assert (answer.status_code, response_of(answer)["error_id"]) == (401, "NOAUTH")


async def test_server_errors_reveal_nothing(api: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("onebyone.resources.reader.read_page", fail)
    answer = await api.send("GET", "/imptracker")
    response = response_of(answer)
    assert (answer.status_code, response["error_id"], response["error_code"]) == (500, "SYSTEM", "UNKNOWN")
    assert "secret" not in answer.text


async def test_usage_is_counted(api: Harness) -> None:
    api.clock.to_next_minute()
    for expected in (1, 2):
        info = (await api.call("GET", "member"))["dbg_info"]
        assert (info["reads"], info["writes"]) == (expected, 0)
    info = (await api.call("DELETE", "imptracker", id=1))["dbg_info"]
    assert (info["reads"], info["writes"]) == (2, 1)


async def test_operator_paths(api: Harness) -> None:
    assert (await api.http.get("/livez")).status_code == 200
    ready = await api.http.get("/readyz")
    checks = {"ready": True, "checks": {"configuration": True}, "healthy": True, "problems": {}}
    assert (ready.status_code, ready.json()) == (200, checks)
    assert "onebyone_api_requests_total" in (await api.http.get("/metrics", headers={"Host": "localhost"})).text


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_permission_is_checked_before_the_id(api: Harness, method: str) -> None:
    fields = {"username": "reader@b.example", "password": PASSWORD, "read_only": True}
    await api.create("user", fields)
    reader = await api.login("reader@b.example", PASSWORD)
    response = await reader.call(method, "advertiser", {"advertiser": {}}, id="x")
    assert (response["error_id"], response["error"]) == ("UNAUTH", "the user is read-only")
