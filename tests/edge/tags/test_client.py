"""The client of a request: address behind proxies, truncation, prefetches, and text that is cut."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from onebyone.edge.tags import client, query
from onebyone.runtime.client_address import client_address, truncate_address

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))

HOPS: list[tuple[str, str, list[bytes], str]] = [
    ("no proxy", "198.51.100.7", [b"203.0.113.9"], "198.51.100.7"),
    ("one proxy", "10.0.0.1", [b"203.0.113.9"], "203.0.113.9"),
    ("spoofed first hop", "10.0.0.1", [b"1.2.3.4, 203.0.113.9"], "203.0.113.9"),
    ("two proxies", "10.0.0.1", [b"203.0.113.9, 10.0.0.2"], "203.0.113.9"),
    ("several headers", "10.0.0.1", [b"1.2.3.4", b"203.0.113.9"], "203.0.113.9"),
    ("only proxies", "10.0.0.1", [b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
    ("nothing forwarded", "10.0.0.1", [], "10.0.0.1"),
    ("garbage stops the walk", "10.0.0.1", [b"203.0.113.9, nonsense"], "10.0.0.1"),
    ("garbage left of a good hop", "10.0.0.1", [b"nonsense, 203.0.113.9"], "203.0.113.9"),
    ("version 6", "fd00::1", [b"2001:db8::9"], "2001:db8::9"),
    ("mapped peer", "::ffff:10.0.0.1", [b"203.0.113.9"], "203.0.113.9"),
]


@pytest.mark.parametrize(("peer", "forwarded", "expected"), [row[1:] for row in HOPS], ids=[row[0] for row in HOPS])
def test_client_address(peer: str, forwarded: list[bytes], expected: str) -> None:
    headers = [(b"host", b"tags"), *((b"x-forwarded-for", value) for value in forwarded)]
    assert client_address(peer, headers, TRUSTED) == expected


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("203.0.113.201", "203.0.113.0"),
        ("2001:db8:1:2:3::4", "2001:db8:1::"),
        ("::ffff:203.0.113.201", "203.0.113.0"),
        ("unix", None),
        ("", None),
    ],
)
def test_truncate_address(address: str, kept: str | None) -> None:
    assert truncate_address(address) == kept


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (b"sec-purpose", b"prefetch", True),
        (b"sec-purpose", b"prefetch;prerender", True),
        (b"purpose", b"Prefetch", True),
        (b"x-moz", b"prefetch", True),
        (b"x-purpose", b"preview", True),
        (b"purpose", b"view", False),
        (b"x-other", b"prefetch", False),
    ],
)
def test_prefetch(name: bytes, value: bytes, expected: bool) -> None:
    assert client.parse_client({name: value}).prefetch is expected


@pytest.mark.parametrize(
    ("value", "limit", "kept"),
    [
        (b"abc", 2, "ab"),
        ("é".encode() * 3, 5, "éé"),
        ("é".encode() * 3, 6, "ééé"),
        (b"\xff\xfe", 10, "ÿþ"),
        (b"\xc3", 10, "Ã"),
    ],
    ids=["cut", "cut inside a character", "whole", "not UTF-8", "torn by the client"],
)
def test_decode_text(value: bytes, limit: int, kept: str) -> None:
    assert query.decode_text(value, limit) == kept


def test_no_header_is_cut_inside_a_character() -> None:
    agent, page = (b"a" * (limit - 1) + "é".encode() for limit in (512, 1024))
    assert client.parse_client({b"user-agent": agent}).agent == b',"ua":"%b"' % (b"a" * 511)
    assert client.referrer_member(page) == b',"ref":"%b"' % (b"a" * 1023)
