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
    ("headers", "expected"),
    [
        ({b"sec-purpose": b"prefetch"}, "prefetch"),
        ({b"sec-purpose": b"prefetch;anonymous-client-ip"}, "prefetch"),
        ({b"sec-purpose": b"prefetch;prerender"}, "prerender"),
        ({b"sec-purpose": b"prefetch; prerender"}, "prerender"),
        ({b"sec-purpose": b"prefetch;prerender;preview"}, "prerender"),
        ({b"sec-purpose": b"prerender"}, "prerender"),
        ({b"sec-purpose": b"prefetch;prerender", b"purpose": b"prefetch"}, "prerender"),
        ({b"purpose": b"Prefetch"}, "prefetch"),
        ({b"purpose": b"prerender"}, "prerender"),
        ({b"x-moz": b"prefetch"}, "prefetch"),
        ({b"x-purpose": b"preview"}, "preview"),
        ({b"purpose": b"preview"}, "preview"),
        ({b"x-purpose": b"preview", b"purpose": b"prefetch"}, "prefetch"),
        ({b"purpose": b"view"}, None),
        ({b"sec-purpose": b"?0"}, None),
        ({b"x-other": b"prefetch"}, None),
        ({}, None),
    ],
)
def test_purpose(headers: dict[bytes, bytes], expected: str | None) -> None:
    assert client.parse_client(headers).purpose == expected


@pytest.mark.parametrize(
    ("purpose", "dest", "site", "held"),
    [
        (b"sec-purpose", b"iframe", b"cross-site", True),
        (b"sec-purpose", b"iframe", b"same-site", True),
        (b"sec-purpose", b"iframe", b"none", True),
        (b"sec-purpose", b"iframe", b"same-origin", False),
        (b"sec-purpose", b"iframe", None, False),
        (b"sec-purpose", b"image", b"cross-site", False),
        (b"sec-purpose", b"document", b"cross-site", False),
        (b"sec-purpose", None, b"cross-site", False),
        (b"purpose", b"iframe", b"cross-site", False),
    ],
)
def test_a_frame_of_another_origin_is_held(purpose: bytes, dest: bytes | None, site: bytes | None, held: bool) -> None:
    headers = {purpose: b"prefetch;prerender", b"sec-fetch-dest": dest, b"sec-fetch-site": site}
    assert client.parse_client({name: value for name, value in headers.items() if value}).held_frame is held


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
