"""Who may use the endpoints for operators: by token, or by address, headers of proxies, and host name."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from pydantic import ValidationError

from onebyone.runtime.operator_access import OperatorAccess
from onebyone.runtime.trusted_proxies import FORWARDING_HEADERS
from onebyone.settings import Settings

TOKEN = "0123456789abcdefTOKEN"
LOCAL = ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"]
STRANGERS = ["198.51.100.7", "2001:db8::7", "::ffff:198.51.100.7", "10.0.0.9", "", "unix"]
OWN_HOSTS = [
    *(
        "127.0.0.1",
        "127.0.0.1:8081",
        "[::1]",
        "[::1]:8081",
        "localhost",
        "LOCALHOST:8081",
        "localhost.",
        "198.51.100.1",
    ),
    *("Ops.Example", "metrics:8080", "edge-1"),
]
FOREIGN_HOSTS = [
    *("evil.example", "evil.example:8081", "127.0.0.1.evil.example", "localhost.evil.example", "evil.localhost", ""),
    *("tags.example", "tags.example:443", "api.tags.example", "ops.example.evil.example", "ops.example@evil.example"),
    *("127.0.0.1/", "[::1", "::1", "127.0.0.1:8081:x", "0x7f.0.0.1", "2130706433", "ops.example,evil.example"),
    *("[evil.example]", "[127.0.0.1]"),
]
MARKS = [
    *sorted(FORWARDING_HEADERS),
    *(b"x-forwarded", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-anything", b"x-original-host"),
    *(b"x-amzn-trace-id", b"akamai-origin-hop", b"x-sucuri-clientip", b"incap-client-ip", b"tailscale-user-login"),
    *(b"cf-ray", b"cdn-loop", b"cloudfront-viewer-address", b"x-azure-clientip", b"x-envoy-external-address"),
]

Headers = list[tuple[bytes, bytes]]


def access(**more: Any) -> OperatorAccess:
    defaults = {"public_url": "https://tags.example", "ops_hosts": "ops.example, metrics,edge-1", "host": "::"}
    settings: dict[str, Any] = {**defaults, **more}
    return OperatorAccess(Settings(**settings))


def headers(host: str | None = "localhost", *more: tuple[bytes, bytes]) -> Headers:
    return [*([] if host is None else [(b"host", host.encode())]), *more]


@pytest.mark.parametrize("peer", [*LOCAL, *STRANGERS])
def test_local_peers_are_let_in(peer: str) -> None:
    assert (access().refusal(peer, headers()) is None) == (peer in LOCAL)


@pytest.mark.parametrize("peer", LOCAL[:2])
@pytest.mark.parametrize("host", [*OWN_HOSTS, *FOREIGN_HOSTS])
def test_a_host_name_that_is_not_ours_is_refused(host: str, peer: str) -> None:
    assert (access().refusal(peer, headers(host)) is None) == (host in OWN_HOSTS)


@pytest.mark.parametrize("host", ["tags.example", "TAGS.example.:443", "localhost"])
def test_the_public_host_is_for_trusted_proxies(host: str) -> None:
    client = (b"x-forwarded-for", b"127.0.0.1")
    assert access(trusted_proxies="127.0.0.0/8").refusal("127.0.0.1", headers(host, client)) is None
    assert access(public_url="", trusted_proxies="127.0.0.0/8").refusal("127.0.0.1", headers("", client)) is not None


def test_http_1_0_may_be_a_hidden_proxy() -> None:
    rule = access(trusted_proxies="10.0.0.1", metrics_from="127.0.0.0/8,203.0.113.7", ops_token=TOKEN)
    assert rule.refusal("127.0.0.1", headers(), "1.0") is not None
    assert rule.refusal("127.0.0.1", headers(), "1.1") is None
    assert rule.refusal("10.0.0.1", headers("localhost", (b"x-forwarded-for", b"203.0.113.7")), "1.0") is None
    assert rule.refusal("127.0.0.1", headers(None, (b"authorization", f"Bearer {TOKEN}".encode())), "1.0") is None


def test_there_must_be_one_host() -> None:
    assert access().refusal("127.0.0.1", []) is not None
    assert access().refusal("127.0.0.1", headers("localhost", (b"host", b"localhost"))) is not None


def test_a_listening_host_name_and_no_other_is_own_by_default() -> None:
    alone = OperatorAccess(Settings(host="Edge.Internal"))
    assert alone.refusal("127.0.0.1", headers("edge.internal:8080")) is None
    assert alone.refusal("127.0.0.1", headers("tags.example")) is not None


@pytest.mark.parametrize("mark", MARKS, ids=bytes.decode)
@pytest.mark.parametrize("value", [b"127.0.0.1", b"for=127.0.0.1", b"", b"1.1 proxy"])
def test_what_an_undeclared_proxy_forwards_is_refused(mark: bytes, value: bytes) -> None:
    for peer in LOCAL:
        assert access().refusal(peer, headers("localhost", (mark, value))) is not None
        assert access(trusted_proxies="10.0.0.0/8").refusal(peer, headers("localhost", (mark, value))) is not None


@pytest.mark.parametrize(
    ("peer", "forwarded", "let_in"),
    [
        ("127.0.0.1", ["203.0.113.7"], True),
        ("::ffff:127.0.0.1", ["203.0.113.7"], True),
        ("10.0.0.1", ["203.0.113.7:51234"], True),
        ("10.0.0.1", ["198.51.100.1", "203.0.113.7"], True),
        ("10.0.0.1", ["203.0.113.7, 198.51.100.1"], False),
        ("10.0.0.1", ["198.51.100.1:51234"], False),
        ("127.0.0.1", ["198.51.100.1:51234"], False),
        ("127.0.0.1", ["unknown"], False),
        ("127.0.0.1", ["_hidden"], False),
        ("127.0.0.1", [""], False),
        ("127.0.0.1", ["203.0.113.7,"], False),
        ("127.0.0.1", ["127.0.0.1"], True),
        ("10.0.0.1", ["127.0.0.1"], False),
        ("10.0.0.1", ["::1"], False),
        ("10.0.0.1", [], False),
        ("127.0.0.1", [], True),
        ("203.0.113.9", ["203.0.113.7"], False),
        ("203.0.113.9", [], True),
    ],
)
def test_clients_of_a_declared_proxy(peer: str, forwarded: list[str], let_in: bool) -> None:
    rule = access(trusted_proxies="127.0.0.0/8,10.0.0.0/8", metrics_from="127.0.0.0/8,::1,203.0.113.0/24")
    sent = headers("localhost", *((b"x-forwarded-for", value.encode()) for value in forwarded))
    assert (rule.refusal(peer, sent) is None) == let_in


@pytest.mark.parametrize("peer", ["127.0.0.1", *STRANGERS])
@pytest.mark.parametrize("host", ["localhost", "evil.example", None])
@pytest.mark.parametrize("forwarded", [False, True])
def test_the_token_lets_in_from_anywhere(peer: str, host: str | None, forwarded: bool) -> None:
    more = [(b"x-forwarded-for", b"unknown")] * forwarded
    for scheme in (b"Bearer", b"bearer", b"BEARER"):
        sent = headers(host, *more, (b"authorization", scheme + b" " + TOKEN.encode()))
        assert access(ops_token=TOKEN).refusal(peer, sent) is None
        assert access(ops_token=TOKEN, metrics_from="none").refusal(peer, sent) is None


@pytest.mark.parametrize(
    "value",
    [
        *(TOKEN, f"Basic {TOKEN}", "Bearer ", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer x"),
        *(f"Bearer {TOKEN.lower()}", f"Bearer {TOKEN} {TOKEN}", f"Bearer\t{TOKEN}", f"Bearer {TOKEN}\xe9", ""),
    ],
)
def test_another_token_changes_nothing(value: str) -> None:
    sent = headers("localhost", (b"authorization", value.encode("latin-1")))
    assert access(ops_token=TOKEN).refusal("198.51.100.7", sent) is not None
    assert access(ops_token=TOKEN).refusal("127.0.0.1", sent) is None
    assert access(ops_token=TOKEN, metrics_from="none").refusal("127.0.0.1", sent) is not None
    assert access().refusal("198.51.100.7", sent) is not None


def test_two_tokens_are_none() -> None:
    both = [(b"authorization", f"Bearer {TOKEN}".encode()), (b"authorization", b"Bearer x")]
    for several in itertools.permutations(both):
        assert access(ops_token=TOKEN).refusal("198.51.100.7", headers("localhost", *several)) is not None


@pytest.mark.parametrize(
    "wrong",
    [
        *({"ops_token": "short"}, {"ops_token": "with a blank in the middle"}, {"ops_token": "é" * 20}),
        *({"ops_hosts": "http://a.example"}, {"ops_hosts": "a.example:80"}, {"ops_hosts": "a/b"}),
        *({"client_address_header": "X Forwarded"}, {"client_address_header": "x:"}, {"metrics_from": "none,10.0.0.1"}),
    ],
    ids=str,
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(**wrong)
    assert "short" not in str(refused.value), "a token is not repeated"
