"""The client of a request: truncated addresses, prefetches, and text that is cut."""

from __future__ import annotations

import pytest

from onebyone.edge.tags import client, query
from onebyone.runtime.client_address import truncate_address


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
