"""Finds truncated networks in the ranges of data centres."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from onebyone.runtime.client_address import NETWORK_BITS, parse_address
from onebyone.setting_types import Network

_BITS = {4: 32, 6: 128}


class NetworkRanges:
    """Ranges of networks, merged. A network as events have it is inside only if the ranges cover all of it.

    A network that a range covers in part holds other addresses too, and the event no longer says which one it had.
    """

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        spans: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for network in networks:
            first = int(network.network_address)
            spans[network.version].append((first, first + network.num_addresses))
        self._spans = {version: _merge(spans[version], _host_bits(version)) for version in spans}

    def __len__(self) -> int:
        return sum(len(starts) for starts, _ in self._spans.values())

    def covers(self, network: str) -> bool:
        """Return whether the /24 or /48 of this address is inside; text that is not an address is not."""
        address = parse_address(network)
        if address is None:
            return False
        starts, ends = self._spans[address.version]
        number = int(address) >> _host_bits(address.version)
        place = bisect_right(starts, number) - 1
        return place >= 0 and number < ends[place]


def _host_bits(version: int) -> int:
    return _BITS[version] - NETWORK_BITS[version]


def _merge(spans: list[tuple[int, int]], host_bits: int) -> tuple[list[int], list[int]]:
    """Return the starts and ends of what the spans cover together, numbered and in whole truncated networks."""
    merged: list[list[int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    whole = [(-(-start >> host_bits), end >> host_bits) for start, end in merged]
    whole = [(start, end) for start, end in whole if start < end]
    return [start for start, _ in whole], [end for _, end in whole]
