"""What is sent in `Location`: a browser must never reach a host other than the one that was checked."""

from __future__ import annotations

import json
from pathlib import Path

import ada_url
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onebyone.contracts import locations

CORPUS = Path(__file__).parents[3] / "shared" / "corpora" / "urltestdata.json"

CONVERTED = {
    "https://münchen.example/x": b"https://xn--mnchen-3ya.example/x",
    "https://m%C3%BCnchen.example/x": b"https://xn--mnchen-3ya.example/x",
    "https://m%c3%bcnchen.example:8443/x": b"https://xn--mnchen-3ya.example:8443/x",
    "HTTPS://MÜNCHEN.example": b"HTTPS://xn--mnchen-3ya.example",
    "https://münchen.example:443?q=ü#ü": b"https://xn--mnchen-3ya.example:443?q=%C3%BC#%C3%BC",
    "https://münchen.example:/../a//b": b"https://xn--mnchen-3ya.example:/../a//b",
    "https://例え。テスト/パス": b"https://xn--r8jz45g.xn--zckzah/%E3%83%91%E3%82%B9",
    "https://ｌａｎｄｉｎｇ．example/": b"https://landing.example/",
    "https://straße.example/": b"https://xn--strae-oqa.example/",
    "https://mu\u0308nchen.example/": b"https://xn--mnchen-3ya.example/",
    "https://land\u00ading.example/": b"https://landing.example/",
    "http://１２７.0.0.1/": b"http://127.0.0.1/",
}
KEPT = [
    "https://xn--mnchen-3ya.example/x",
    "https://LANDING.example:0443/a/../b?c=%zz&d=\"<>`{}|^'#x",
    "https://%6canding.example/",
    "http://0x7f.1/",
    "http://[::1]:80/",
    "https://landing.example",
]
ENCODED = {
    "https://landing.example/ä b": b"https://landing.example/%C3%A4%20b",
    "https://landing.example/?q=münchen.example": b"https://landing.example/?q=m%C3%BCnchen.example",
    "https://landing.example#ü": b"https://landing.example#%C3%BC",
}
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


@pytest.mark.parametrize("target", CONVERTED)
def test_an_internationalised_host_is_sent_in_ascii_and_the_rest_byte_for_byte(target: str) -> None:
    location = locations.to_location(target.encode())
    assert location == CONVERTED[target]
    assert ada_url.URL(location.decode()).href == ada_url.URL(target).href


@pytest.mark.parametrize("target", KEPT)
def test_an_ascii_target_is_kept_byte_for_byte(target: str) -> None:
    assert locations.to_location(target.encode()) == target.encode()


@pytest.mark.parametrize("target", ENCODED)
def test_blanks_and_other_bytes_after_the_host_are_percent_encoded(target: str) -> None:
    assert locations.to_location(target.encode()) == ENCODED[target]


@pytest.mark.parametrize("target", REFUSED)
def test_refused_for_every_member(target: bytes) -> None:
    assert locations.to_location(target) is None


@pytest.mark.parametrize(
    "host", [b"m\xfcnchen.example", b"m%FCnchen.example", "a\u3002".encode() * 200, b"xn--\xc3\xbc"]
)
def test_a_host_that_no_browser_reads_is_refused(host: bytes) -> None:
    location = locations.to_location(b"https://" + host + b"/")
    assert location is None or ada_url.URL(location.decode()).hostname.isascii()


@given(st.text(max_size=40), st.text(max_size=40))
def test_the_location_leads_where_the_target_leads(host: str, rest: str) -> None:
    target = f"https://{host}/{rest}".encode("utf-8", "surrogatepass")
    location = locations.to_location(target)
    if location is not None:
        assert ada_url.URL(location.decode()).host == ada_url.URL(target.decode()).host
        assert location.partition(b"://")[2].partition(b"/")[0].isascii()


@given(st.binary(max_size=200).map(lambda tail: b"https://" + tail))
def test_a_location_is_printable_and_has_the_host_that_a_browser_reads(redir: bytes) -> None:
    location = locations.to_location(redir)
    if location is not None:
        assert all(0x21 <= byte <= 0x7E for byte in location)
        assert ada_url.URL(location.decode()).hostname == locations.browser_host(location) != ""


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
        location = locations.to_location(redir)
        if location is None:
            continue
        accepted += 1
        assert not case.get("failure"), case["input"]
        assert locations.browser_host(location) == case["hostname"], case["input"]
        if not case["input"].endswith(" "):
            assert ada_url.URL(location.decode()).href == case["href"], case["input"]
        assert case["protocol"] in ("http:", "https:")
        assert case["username"] == case["password"] == ""
    assert checked > 700
    assert accepted > 50
