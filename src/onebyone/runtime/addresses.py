"""Base URLs of what listens on a host and port."""

from __future__ import annotations

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def base_url(host: str, port: int) -> str:
    """Return the URL of a listener, with IPv6 addresses in brackets and no trailing slash."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def local_url(host: str, port: int) -> str:
    """Return the URL under which this machine reaches a listener, which may listen on all addresses."""
    return base_url(_LOOPBACK.get(host, host), port)
