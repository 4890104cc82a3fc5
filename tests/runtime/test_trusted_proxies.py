"""The address of a client: every form of a hop, in every place, from peers that are trusted and from others."""

from __future__ import annotations

import random
from ipaddress import ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from onebyone.runtime.client_address import UNKNOWN, in_networks
from onebyone.runtime.forwarded_hops import HOPS_MAX
from onebyone.runtime.trusted_proxies import FORWARDING_HEADERS, TrustedProxies
from onebyone.settings import Settings
from tests.support.address_forms import CLIENT, NODES, forwarded_element

PROXIES = "10.0.0.0/8,fd00::/8,::ffff:192.168.0.0/112"
PROXY = "10.0.0.1"
TRUSTED_PEERS = [PROXY, "10.255.0.1", "::ffff:10.0.0.1", "fd00::1", "fd00::1%eth0", "192.168.0.1", "::ffff:192.168.0.1"]
OTHER_PEERS = ["198.51.100.7", "::ffff:198.51.100.7", "2001:db8::7", "127.0.0.1"]
CHOSEN = ["X-Forwarded-For", "CF-Connecting-IP", "True-Client-IP", "X-Made-Up"]
LIST_PLACES = {
    "alone": "{}",
    "after a made-up hop": "1.2.3.4, {}",
    "after garbage": 'x", ;=, {}',
    "after an open quote": '"for=, {}',
    "in front of a proxy": "{}, 10.0.0.2",
    "in front of two proxies": "1.2.3.4,{} , [fd00::2]:443,10.0.0.3:80",
}
FORWARDED_PLACES = {
    "alone": "{}",
    "with parameters": 'proto=https;{};by="[fd00::1]:443";host="a.example"',
    "after a made-up hop": "for=1.2.3.4, {}",
    "after an open quote": 'for="1.2.3.4, {}',
    "after an escaped quote": 'for="1.2.3.4\\", {}',
    "with a comma in quotes": '{};host="a, for=9.9.9.9"',
    "with a quote in quotes": '{};host="a, for=\\"9.9.9.9\\""',
    "in front of a proxy": "for=1.2.3.4, {} , for=10.0.0.2;proto=http",
    "in front of an empty pair": "{};;",
}


def proxies(header: str = "X-Forwarded-For") -> TrustedProxies:
    return TrustedProxies(Settings(trusted_proxies=PROXIES, client_address_header=header))


def address(trusted: TrustedProxies, peer: str, *lines: str) -> str:
    headers = [(b"host", b"tags"), *((trusted.header, line.encode("utf-8")) for line in lines)]
    return trusted.client_address(peer, headers)


@pytest.mark.parametrize("place", LIST_PLACES)
@pytest.mark.parametrize("header", CHOSEN)
def test_hop_of_a_list(header: str, place: str) -> None:
    trusted = proxies(header)
    for name, node, client in NODES:
        line = LIST_PLACES[place].format(node)
        for peer in TRUSTED_PEERS:
            assert address(trusted, peer, line) == (client or UNKNOWN), (name, peer, line)
            assert address(trusted, peer, "9.9.9.9", *line.split(",")) == (client or UNKNOWN), (name, peer, line)
        for peer in OTHER_PEERS:
            assert address(trusted, peer, line) == peer.removeprefix("::ffff:"), (name, peer, line)


@pytest.mark.parametrize("place", FORWARDED_PLACES)
def test_hop_of_forwarded(place: str) -> None:
    trusted = proxies("Forwarded")
    for name, node, client in NODES:
        if (element := forwarded_element(node)) is None:
            continue
        for spelling in (element, element.replace("for=", "FOR=")):
            line = FORWARDED_PLACES[place].format(spelling)
            assert address(trusted, PROXY, line) == (client or UNKNOWN), (name, line)
            assert address(trusted, OTHER_PEERS[0], line) == OTHER_PEERS[0], (name, line)


@pytest.mark.parametrize(
    "line",
    [
        *("", ",", ";", "for", "for=", "=1.2.3.4", "for=1.2.3.4,", "for=1.2.3.4, proto=https", "by=1.2.3.4"),
        *("for=1.2.3.4;for=5.6.7.8", "for =1.2.3.4", "for= 1.2.3.4", "for=1.2.3.4 proto=https", 'for="1.2.3.4'),
        *('for="1.2.3.4"x', "for=1.2.3.4, garbage", "1.2.3.4", 'for="\\', 'for=1.2.3.4;host="a', "for='1.2.3.4'"),
    ],
)
def test_forwarded_without_a_client(line: str) -> None:
    assert address(proxies("Forwarded"), PROXY, line) == UNKNOWN


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        (PROXY, [], PROXY),
        ("::ffff:10.0.0.1", [], PROXY),
        ("", [], UNKNOWN),
        ("unix:", [("x-forwarded-for", CLIENT)], UNKNOWN),
        ("127.0.0.1", [("x-forwarded-for", CLIENT)], "127.0.0.1"),
        ("::ffff:127.0.0.1", [], "127.0.0.1"),
        (PROXY, [("x-forwarded-for", "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
        (PROXY, [("x-forwarded-for", "1.2.3.4"), ("x-forwarded-for", CLIENT)], CLIENT),
        (PROXY, [("x-forwarded-for", CLIENT), ("x-forwarded-for", "")], UNKNOWN),
        (PROXY, [("x-forwarded-for", f"{CLIENT}, unknown")], UNKNOWN),
        (PROXY, [("x-forwarded-for", "unknown, 10.0.0.2")], UNKNOWN),
        (PROXY, [("x-forwarded-proto", "https")], UNKNOWN),
        (PROXY, [("x-forwarded-for", CLIENT), ("forwarded", "for=9.9.9.9"), ("via", "x")], CLIENT),
    ],
)
def test_who_is_the_client(peer: str, headers: list[tuple[str, str]], expected: str) -> None:
    sent = [(name.encode(), value.encode()) for name, value in headers]
    assert proxies().client_address(peer, sent) == expected


@pytest.mark.parametrize(
    "header",
    [
        *sorted(FORWARDING_HEADERS - {b"x-forwarded-for"}),
        *(
            b"x-forwarded",
            b"x-forwarded-host",
            b"x-original-forwarded-for",
            b"x-azure-clientip",
            b"cf-ray",
            b"cdn-loop",
        ),
    ],
    ids=bytes.decode,
)
def test_another_header_than_the_chosen_one_names_nobody(header: bytes) -> None:
    assert proxies().client_address(PROXY, [(header, b"203.0.113.7")]) == UNKNOWN
    assert proxies().client_address("127.0.0.1", [(header, b"203.0.113.7")]) == "127.0.0.1"


def test_no_proxy_is_trusted_by_default() -> None:
    assert TrustedProxies(Settings()).client_address("127.0.0.1", [(b"x-forwarded-for", b"1.2.3.4")]) == "127.0.0.1"


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_a_long_chain_names_nobody(header: str) -> None:
    trusted = proxies(header)
    prefix = "for=" if header == "Forwarded" else ""
    hops = [f"{prefix}{CLIENT}", *[f"{prefix}10.0.0.2"] * 10_000]
    assert address(trusted, PROXY, ",".join(hops)) == UNKNOWN
    assert address(trusted, PROXY, ",".join(hops[:HOPS_MAX])) == CLIENT
    assert address(trusted, PROXY, ",".join(reversed(hops))) == CLIENT


@given(st.text(st.sampled_from('",;=\\[]:%. \tfor10_unknow') | st.characters(max_codepoint=255), max_size=60))
@example('for="\\')
def test_whatever_a_client_makes_up_changes_nothing(made_up: str) -> None:
    for header, hop in (("X-Forwarded-For", f"{CLIENT}:80"), ("Forwarded", f'proto=https;for="{CLIENT}:80"')):
        trusted = proxies(header)
        assert address(trusted, PROXY, f"{made_up}, {hop}") == CLIENT
        found = address(trusted, PROXY, made_up)
        assert found == UNKNOWN or str(ip_address(found)) == found


def test_length_of_a_header_bounds_the_work() -> None:
    pieces = ["for=10.0.0.2", '"', ",", "\\", "=", ";", "for=", "[", ":", "1", "10.0.0.2", " ", 'x="', "%"]
    chosen = random.Random(7)
    for _ in range(30):
        piece = "".join(chosen.choices(pieces, k=3))
        line = piece * (60_000 // len(piece))
        for header in ("X-Forwarded-For", "Forwarded"):
            # A quadratic walk would take minutes, and the limit of this test is half of one.
            address(proxies(header), PROXY, line)


def test_networks_that_are_written_as_mapped() -> None:
    settings = Settings(trusted_proxies="::ffff:10.0.0.0/104", metrics_from="::ffff:127.0.0.1")
    assert in_networks("10.1.2.3", settings.proxy_networks)
    assert in_networks("::ffff:127.0.0.1", settings.metrics_networks)
    assert not in_networks("127.0.0.2", settings.metrics_networks)


@pytest.mark.parametrize(
    ("header", "sent", "scheme"),
    [
        ("X-Forwarded-For", [("x-forwarded-proto", "https")], "https"),
        ("X-Forwarded-For", [("x-forwarded-proto", "http"), ("x-forwarded-proto", " HTTPS ")], "https"),
        ("X-Forwarded-For", [("x-forwarded-proto", "https,")], None),
        ("X-Forwarded-For", [("forwarded", "proto=https")], None),
        ("Forwarded", [("forwarded", "for=1.2.3.4;proto=http, for=5.6.7.8;proto=https")], "https"),
        ("Forwarded", [("forwarded", 'for=1.2.3.4;proto="https", for=5.6.7.8;Proto="HTTP"')], "http"),
        ("Forwarded", [("forwarded", "for=1.2.3.4;proto=https, for=5.6.7.8")], None),
        ("Forwarded", [("x-forwarded-proto", "https")], None),
        ("CF-Connecting-IP", [("x-forwarded-proto", "https")], "https"),
        ("X-Forwarded-For", [], None),
        ("Forwarded", [], None),
    ],
)
def test_scheme_of_the_client(header: str, sent: list[tuple[str, str]], scheme: str | None) -> None:
    headers = [(name.encode(), value.encode()) for name, value in sent]
    assert proxies(header).client_scheme(PROXY, headers) == scheme
    assert proxies(header).client_scheme(OTHER_PEERS[0], headers) is None
