"""Redirect targets: a browser must never reach a host other than the one that was checked."""

from __future__ import annotations

import json
from pathlib import Path

import ada_url
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onebyone.contracts.configuration import MemberRecord
from onebyone.edge.tags import redirects

CORPUS = Path(__file__).parents[4] / "shared" / "corpora" / "urltestdata.json"

MEMBER = MemberRecord(7, redirect_domains=("partner.example",), click_hosts=("landing.example",))

APPROVED = [
    b"https://landing.example",
    b"http://LANDING.example:8080/a?b#c",
    b"https://%6canding.example/",
    b"https://partner.example/",
    b"https://deep.below.partner.example/",
]
NOT_APPROVED = [
    b"https://www.landing.example/",
    b"https://landing.example.evil.example/",
    b"https://evilpartner.example/",
    b"https://partner.example.evil.example/",
    b"https://partner.example%2eevil.example/",
    b"https://xn--partner-.example/",
]
REFUSED = [
    b"javascript:alert(1)",
    b"JaVaScRiPt:alert(1)",
    b"data:text/html,x",
    b"vbscript:x",
    b"mailto:a@b.example",
    b"ftp://landing.example/",
    b"//landing.example/",
    b"/\\landing.example",
    b"https:landing.example",
    b"https:/landing.example",
    b"https:///landing.example",
    b"http://",
    b"https://?x",
    b"https://landing.example\\@evil.example/",
    b"https://evil.example\\.landing.example/",
    b"https://landing.example@evil.example/",
    b"https://:@landing.example/",
    b"https://@landing.example/",
    b"https://landing.example/\r\nSet-Cookie: a=b",
    b"https://landing.example/\ta",
    b"https://landing.example/\x00",
    b"https://landing.example\x7f/",
    b"https://land ing.example/",
    b" https://landing.example/",
    b"https://[::1/",
    b"https://landing.example:99999/",
    b"https://" + b"a" * 9000,
]


@pytest.mark.parametrize("redir", APPROVED)
def test_approved(redir: bytes) -> None:
    location = redirects.to_location(redir)
    assert location == redir
    assert redirects.is_approved(location, MEMBER)


@pytest.mark.parametrize("redir", NOT_APPROVED)
def test_not_approved(redir: bytes) -> None:
    location = redirects.to_location(redir)
    assert location is None or not redirects.is_approved(location, MEMBER)


@pytest.mark.parametrize("redir", REFUSED)
def test_refused_even_under_policy_any(redir: bytes) -> None:
    location = redirects.to_location(redir)
    assert location is None or not redirects.is_approved(location, MemberRecord(8, redirect_policy="any"))


def test_spaces_and_non_ascii_are_percent_encoded() -> None:
    assert redirects.to_location("https://landing.example/ä b".encode()) == b"https://landing.example/%C3%A4%20b"


@given(st.binary(max_size=200).map(lambda tail: b"https://" + tail))
def test_a_location_is_printable_and_has_the_host_that_a_browser_reads(redir: bytes) -> None:
    location = redirects.to_location(redir)
    if location is not None:
        assert all(0x21 <= byte <= 0x7E for byte in location)
        assert ada_url.URL(location.decode()).hostname == redirects.browser_host(location) != ""


@pytest.mark.skipif(not CORPUS.exists(), reason="the outside corpus is not on this machine")
def test_agreement_with_the_test_cases_of_the_url_standard() -> None:
    """Each of 891 cases of web-platform-tests is refused or gets the host that the standard names."""
    checked = accepted = 0
    for case in json.loads(CORPUS.read_text(encoding="utf-8")):
        if isinstance(case, str):
            continue
        try:
            redir = case["input"].encode("utf-8")
        except UnicodeEncodeError:
            continue
        checked += 1
        location = redirects.to_location(redir)
        if location is None:
            continue
        accepted += 1
        assert not case.get("failure"), case["input"]
        assert redirects.browser_host(location) == case["hostname"], case["input"]
        assert case["protocol"] in ("http:", "https:")
        assert case["username"] == case["password"] == ""
    assert checked > 700
    assert accepted > 50
