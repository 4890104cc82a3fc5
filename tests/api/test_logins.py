"""Logins over HTTP: guesses are delayed, logged and bounded, and keep nobody else out."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from typing import cast

import httpx
import pytest
from starlette.types import ASGIApp
from structlog.testing import capture_logs

from onebyone.api.app import Api
from onebyone.auth import login_guard, passwords
from onebyone.settings import Settings
from tests.support.api_harness import PASSWORD, Harness, response_of

pytestmark = pytest.mark.anyio


async def log_in(api: Harness, password: str, username: str = "admin", peer: str = "127.0.0.1") -> httpx.Response:
    transport = httpx.ASGITransport(api.http._transport.app, client=(peer, 1))  # type: ignore[attr-defined]
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as http:
        return await http.post("/auth", json={"auth": {"username": username, "password": password}})


async def test_guesses_are_delayed_before_the_hash(api: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[str] = []

    def verify(_: str | None, password: str) -> bool:
        verified.append(password)
        return password == PASSWORD

    monkeypatch.setattr(passwords, "_verify", verify)
    for name in ("admin", "nobody"):
        verified.clear()
        answers = [await log_in(api, f"guess {number}", name, f"192.0.2.{len(name)}") for number in range(150)]
        outcomes = Counter(answer.status_code for answer in answers)
        assert outcomes == {401: len(verified), 429: 150 - len(verified)}
        assert login_guard.PAIR_FREE <= len(verified) <= login_guard.PAIR_FREE + 5
        assert response_of(answers[-1])["error_code"] == "RATE_EXCEEDED"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= login_guard.DELAY_MAX_SECONDS
    assert (await log_in(api, PASSWORD, peer="192.0.2.99")).status_code == 200


async def test_a_flood_keeps_no_other_peer_out(api: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    def verify(_: str | None, password: str) -> bool:
        time.sleep(0.05)
        return password == PASSWORD

    monkeypatch.setattr(passwords, "_verify", verify)
    flood = [asyncio.create_task(log_in(api, "wrong", f"user{number}", "192.0.2.1")) for number in range(40)]
    await asyncio.sleep(0.02)
    assert (await log_in(api, PASSWORD, peer="192.0.2.2")).status_code == 200
    assert Counter(answer.status_code for answer in await asyncio.gather(*flood))[429] >= 40 - login_guard.PEER_PLACES


@pytest.mark.parametrize(
    ("username", "peer", "shown", "network"),
    [
        ("admin", "192.0.2.77", "admin", "192.0.2.0"),
        ("a\nINFO login ok\x1b[0mé", "2001:db8:1:2::3", r"a\nINFO login ok\x1b[0m\xe9", "2001:db8:1::"),
        ("x" * 300, "192.0.2.78", "x" * 64, "192.0.2.0"),
    ],
)
async def test_a_failed_login_is_one_line(api: Harness, username: str, peer: str, shown: str, network: str) -> None:
    with capture_logs() as lines:
        await log_in(api, "secret guess", username, peer)
    failed = {"event": "login failed", "log_level": "warning", "cause": "wrong password"}
    assert lines == [{**failed, "username": shown, "network": network}]


async def test_bodies_of_logins_are_small(api: Harness) -> None:
    credentials = {"username": "é" * 256, "password": "😀" * 1024}
    longest = await api.http.post("/auth", content=httpx.Request("POST", "http://x", json={"auth": credentials}).read())
    assert response_of(longest)["error_id"] == "NOAUTH"
    answer = await api.http.post("/auth", content=b'{"auth":{"x":"' + b"x" * 16_384 + b'"}}')
    assert response_of(answer)["error"] == "the body is larger than 16384 bytes"


@pytest.mark.parametrize(
    ("header", "same", "other"),
    [
        (
            "X-Forwarded-For",
            ["203.0.113.7:{}", '"203.0.113.7:{}"', "::ffff:203.0.113.7", "192.0.2.{}, 203.0.113.7"],
            "203.0.113.8",
        ),
        ("X-Forwarded-For", ["unknown", "_hidden{}", "host{}.example", "192.0.2.{},", ""], "203.0.113.8"),
        ("X-Forwarded-For", ["[2001:db8:0:1::{}]:443", "2001:db8:0:1::{}%eth0"], "2001:db8:0:2::1"),
        ("Forwarded", ['for="203.0.113.7:{}"', "for=192.0.2.{}, For=203.0.113.7"], "for=203.0.113.8"),
        ("CF-Connecting-IP", ["203.0.113.7"], "203.0.113.8"),
    ],
)
async def test_clients_of_a_proxy_are_braked_one_by_one(
    api: Harness, header: str, same: list[str], other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "_verify", lambda _, __: False)
    common = {name: getattr(api.context.settings, name) for name in ("database_url", "admin_password")}
    settings = Settings(**common, trusted_proxies="127.0.0.0/8", client_address_header=header)
    app = Api(replace(api.context, settings=settings), cast(ASGIApp, None))
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test")

    async def guess(value: str, number: int) -> int:
        # A user name is guessed less often than would brake the name itself.
        body = {"auth": {"username": f"user{number}", "password": "wrong"}}
        return (await http.post("/auth", headers={header: value}, json=body)).status_code

    numbers = range(login_guard.PEER_FREE)
    outcomes = [await guess(same[number % len(same)].format(number + 1), number) for number in numbers]
    assert set(outcomes) == {401}
    assert [await guess(value.format(99), 99) for value in same] == [429] * len(same)
    assert await guess(other, 99) == 401
