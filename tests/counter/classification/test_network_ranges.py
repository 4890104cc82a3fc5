"""A truncated network is inside only if ranges cover all of it; compared with a count of its addresses."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onebyone.counter.classification.network_ranges import NetworkRanges
from onebyone.runtime.client_address import truncate_address
from onebyone.setting_types import Network

BASE = int(ip_network("198.51.0.0/22").network_address)
SMALL = st.builds(
    lambda offset, length: IPv4Network((BASE + offset, length), strict=False),
    st.integers(0, 1023),
    st.integers(21, 32),
)
"""Networks in and around 1,024 addresses, so that they meet, overlap and leave gaps."""


@given(st.lists(SMALL, max_size=40))
def test_covers_what_has_every_address_in_some_range(networks: list[IPv4Network]) -> None:
    ranges = NetworkRanges(networks)
    covered = {int(address) for network in networks for address in network}
    for third in range(8):
        start = BASE + 256 * third
        assert ranges.covers(f"198.51.{third}.0") == all(start + last in covered for last in range(256))


@pytest.mark.parametrize(
    ("networks", "inside", "outside"),
    [
        (["203.0.113.0/24"], "203.0.113.0", "203.0.114.0"),
        (["203.0.112.0/20"], "203.0.127.0", "203.0.128.0"),
        (["203.0.113.0/25", "203.0.113.128/25"], "203.0.113.0", "203.0.112.0"),
        (["1.0.0.0/8"], "1.0.0.0", "2.0.0.0"),
        (["255.255.255.0/24"], "255.255.255.0", "255.255.254.0"),
        (["2001:db8::/32"], "2001:db8:ffff::", "2001:db9::"),
        (["2001:db8:1::/48"], "2001:db8:1::", "2001:db8:2::"),
        (["ffff:ffff:ffff::/48"], "ffff:ffff:ffff::", "ffff:ffff:fffe::"),
        (["203.0.113.0/24"], "::ffff:203.0.113.9", "::ffff:203.0.114.9"),
    ],
)
def test_edges(networks: list[str], inside: str, outside: str) -> None:
    ranges = NetworkRanges(ip_network(text) for text in networks)
    assert ranges.covers(inside)
    assert not ranges.covers(outside)


@pytest.mark.parametrize("text", ["", "unknown", "198.51.100.0/24", "1.2.3", "x" * 500, "::1%eth0"])
def test_what_is_no_address_is_in_no_range(text: str) -> None:
    assert not NetworkRanges([IPv4Network("198.51.100.0/24"), IPv4Network("1.0.0.0/8")]).covers(text)


@given(st.ip_addresses())
def test_networks_are_found_as_events_have_them(address: object) -> None:
    text = truncate_address(str(address))
    assert text is not None
    version = "/48" if ":" in text else "/24"
    network: Network = ip_network(text + version)
    assert NetworkRanges([network]).covers(text)
    assert not NetworkRanges([network]).covers("203.0.113.0") or text == "203.0.113.0"


def test_a_range_of_half_a_network_is_not_enough() -> None:
    ranges = NetworkRanges([IPv4Network("198.51.100.0/25"), IPv6Network("2001:db8::/49")])
    assert len(ranges) == 0
    assert not ranges.covers("198.51.100.0")
    assert not ranges.covers("2001:db8::")
