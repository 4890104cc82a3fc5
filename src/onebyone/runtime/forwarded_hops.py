"""The hops that proxies name in a header, read from the right: the right-most is what the nearest proxy says.

A client can make up everything to the left of what the first trusted proxy appends. So reading begins at the right end,
where no quote or comma of the client can change how the words of that proxy are read.

`Forwarded` has the grammar of RFC 7239. Every other header is a list of addresses, each separated by a comma. In both,
an address may have a port, brackets, quotes and the zone of an IPv6 address, which are taken off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from onebyone.runtime.client_address import parse_address

FORWARDED = b"forwarded"
"""The header that has a grammar of its own."""
HOPS_MAX = 32
"""Hops that are read of one request: no chain of proxies is half as long, and each hop takes time."""
_BYTES_MAX = 8192
"""Bytes of `Forwarded` that are read: enough for as many hops with every parameter."""
_PORT_MAX = 65_535
"""The highest port of TCP."""

_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+(?:%[^\]]*)?)\](?::(.*))?")
_IPV4 = re.compile(r"([0-9]+(?:\.[0-9]+){3})(?::(.*))?")
_IPV6_WITH_PORT = re.compile(r"([0-9A-Fa-f:.]+):([0-9]{5})")
"""Without brackets only a port of five digits differs from the last group of an address."""
_PORT = re.compile(r"[0-9]{1,5}|_[A-Za-z0-9._-]+")
_PAIR = re.compile(
    rb"[ \t]*(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:\"((?:[^\"\\]|\\.)*)\"|([^\s\",;\\]+)))?[ \t]*(?:;|\Z)", re.DOTALL
)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


def read_hops(header: bytes, value: bytes) -> Iterator[str | None]:
    """Yield the address of each hop in the value of a header from the right, None for one without a usable address.

    `header` is the name in lower case. After `HOPS_MAX` hops the rest counts as one without an address.
    """
    for number, hop in enumerate(_values(value, b"for") if header == FORWARDED else _listed_hops(value)):
        if number == HOPS_MAX:
            yield None
            return
        yield None if hop is None else read_address(hop)


def nearest_scheme(value: bytes) -> str | None:
    """Return `proto` of the right-most element of `Forwarded`, in lower case; None without one."""
    scheme = next(_values(value, b"proto"))
    return None if scheme is None else scheme.decode("latin-1").lower()


def read_address(text: bytes) -> str | None:
    """Return the address in one hop, without quotes, brackets, port and zone; None when there is none.

    That holds for `unknown` and for the obfuscated identifiers of RFC 7239 (`_hidden`) as well.
    """
    hop = text.strip(b" \t").decode("latin-1")
    if len(hop) > 1 and hop[0] == hop[-1] == '"':
        hop = hop[1:-1].strip(" \t")
    if (match := _BRACKETED.fullmatch(hop)) is not None:
        return _canonical(match[1], match[2])
    if (match := _IPV4.fullmatch(hop)) is not None:
        return _canonical(match[1], match[2])
    found = _canonical(hop, None)
    if found is None and (match := _IPV6_WITH_PORT.fullmatch(hop)) is not None:
        return _canonical(match[1], match[2])
    return found


def _canonical(address: str, port: str | None) -> str | None:
    if port is not None and (not _PORT.fullmatch(port) or (port.isdigit() and int(port) > _PORT_MAX)):
        return None
    parsed = parse_address(address)
    return None if parsed is None or parsed.is_unspecified else str(parsed)


def _listed_hops(value: bytes) -> Iterator[bytes]:
    return reversed(value.rsplit(b",", HOPS_MAX + 1))


def _values(value: bytes, parameter: bytes) -> Iterator[bytes | None]:
    """Yield a parameter of each element of `Forwarded` from the right, None for an element without exactly one."""
    end = comma = len(value)
    stop = max(0, end - _BYTES_MAX)
    for _ in range(2 * HOPS_MAX):
        comma = value.rfind(b",", stop, comma)
        element = _parse_element(value[comma + 1 : end]) if comma >= 0 or stop == 0 else None
        if element is not None:
            found = [text for name, text in element if name == parameter]
            yield found[0] if len(found) == 1 else None
            end = comma
        elif comma >= 0:
            # The comma is inside a quoted string, or the element has no grammar.
            continue
        else:
            yield None
        if comma < 0:
            return
    yield None


def _parse_element(text: bytes) -> list[tuple[bytes, bytes]] | None:
    """Return the parameters of an element, their names in lower case; None if the text is not a whole element."""
    parameters, start = [], 0
    while start < len(text):
        match = _PAIR.match(text, start)
        if match is None:
            return None
        name, quoted, plain = match.groups()
        if name is not None:
            parameters.append((name.lower(), plain if quoted is None else _ESCAPED.sub(rb"\1", quoted)))
        start = match.end()
    return parameters
