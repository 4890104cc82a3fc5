"""Reads lists of network ranges in the forms in which providers publish them (docs/invalid-traffic.md)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from onebyone.counter.classification.lists import ListVersion
from onebyone.setting_types import Network

BYTES_MAX = 32 * 1024 * 1024
"""Of one file: several times the longest published list."""
RANGES_MAX = 1_000_000
"""Of one file, in some 200 MB while it is read."""
PREFIX_MIN = {4: 8, 6: 16}
"""No provider has more in one range; a shorter prefix is a mistake that would flag a large part of all people."""

_RANGE_KEYS = {
    "ip_prefix": "AWS, and geofeeds as JSON",
    "ipv6_prefix": "AWS",
    "ipv4Prefix": "Google",
    "ipv6Prefix": "Google",
    "addressPrefixes": "Azure",
    "cidr": "Oracle",
    "ipv4_cidrs": "Cloudflare",
    "ipv6_cidrs": "Cloudflare",
    "addresses": "Fastly",
    "ipv6_addresses": "Fastly",
}
"""Members of JSON whose value is a range or a list of them, and the provider that calls them so."""
_DATE_KEYS = ("createDate", "creationTime", "last_updated_timestamp")
_VERSION_KEYS = ("syncToken", "changeNumber", "etag")


class NetworkListError(Exception):
    """A file is no list of network ranges; the text says why."""


class NetworkList(NamedTuple):
    """The ranges of one file."""

    version: ListVersion
    networks: frozenset[Network]


def read_network_list(path: Path) -> NetworkList:
    """Return the ranges of a file. Raise `NetworkListError` for one that is wrong, `OSError` if it cannot be read."""
    if path.stat().st_size > BYTES_MAX:
        raise NetworkListError(f"it has more than {BYTES_MAX // 2**20} MB")
    content = path.read_bytes()
    document: Any = None
    if content.lstrip()[:1] in (b"{", b"["):
        try:
            document = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise NetworkListError(f"it is not JSON: {error}") from None
        texts = frozenset(_ranges_of_json(document))
    else:
        texts = frozenset(_ranges_of_text(content))
    if not texts:
        raise NetworkListError("it has no range in any known form")
    if len(texts) > RANGES_MAX:
        raise NetworkListError(f"it has more than {RANGES_MAX} ranges")
    networks = frozenset(_parse_range(text) for text in texts)
    members = document if isinstance(document, dict) else {}
    published = _published(members, path)
    version = next((str(members[key])[:64] for key in _VERSION_KEYS if key in members), published)
    return NetworkList(ListVersion(path.name, version, published, len(networks)), networks)


def _ranges_of_json(document: Any) -> Iterator[str]:
    """Yield the ranges anywhere in a document, without recursion, because its depth is the sender's choice."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            for key, member in value.items():
                if key in _RANGE_KEYS:
                    yield from (str(text) for text in (member if isinstance(member, list) else [member]))
                else:
                    waiting.append(member)


def _ranges_of_text(content: bytes) -> Iterator[str]:
    """Yield the first column of each line that is not a comment, as in geofeeds (RFC 8805) and plain lists."""
    for line in content.decode("utf-8-sig", "replace").splitlines():
        text = re.split(r"[\s,;#]", line.strip(), maxsplit=1)[0]
        if text:
            yield text


def _parse_range(text: str) -> Network:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise NetworkListError(f"not a network range: {text[:64]!r}") from None
    if network.prefixlen < PREFIX_MIN[network.version]:
        raise NetworkListError(f"{network} is larger than what any provider has")
    return network


def _published(members: dict[str, Any], path: Path) -> str:
    """Return the ISO date of a list: what it says, else that in its name, as Azure's have, else that of the file."""
    said = (str(members[key])[:10] for key in _DATE_KEYS if key in members)
    in_name = (f"{year}-{month}-{day}" for year, month, day in re.findall(r"(20\d\d)-?(\d\d)-?(\d\d)", path.name))
    for text in (*said, *in_name):
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            continue
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
