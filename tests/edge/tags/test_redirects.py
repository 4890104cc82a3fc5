"""Which `redir` is approved."""

from __future__ import annotations

import pytest

from onebyone.contracts import locations
from onebyone.contracts.configuration import MemberRecord
from onebyone.edge.tags import redirects

MEMBER = MemberRecord(
    7, redirect_domains=("partner.example",), click_hosts=("landing.example", "xn--mnchen-3ya.example")
)

APPROVED = [
    b"https://landing.example",
    b"http://LANDING.example:8080/a?b#c",
    b"https://%6canding.example/",
    b"https://partner.example/",
    b"https://deep.below.partner.example/",
    b"https://xn--mnchen-3ya.example/",
]
NOT_APPROVED = [
    b"https://www.landing.example/",
    b"https://landing.example.evil.example/",
    b"https://evilpartner.example/",
    b"https://partner.example.evil.example/",
    b"https://partner.example%2eevil.example/",
    b"https://xn--partner-.example/",
]


@pytest.mark.parametrize("redir", APPROVED)
def test_approved(redir: bytes) -> None:
    location = locations.to_location(redir)
    assert location == redir
    assert redirects.is_approved(location, MEMBER)


@pytest.mark.parametrize("redir", NOT_APPROVED)
def test_not_approved(redir: bytes) -> None:
    location = locations.to_location(redir)
    assert location is None or not redirects.is_approved(location, MEMBER)


def test_an_internationalised_host_is_approved_by_its_ascii_form() -> None:
    location = locations.to_location("https://münchen.example/x".encode())
    assert location is not None
    assert redirects.is_approved(location, MEMBER)
