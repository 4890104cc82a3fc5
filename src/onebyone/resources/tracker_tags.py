"""The tags in a tracker's answer, and what keeps a browser or an ad server from using them."""

from __future__ import annotations

from functools import cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from onebyone.contracts import tag_urls
from onebyone.contracts.events import Kind


def tracker_tags(kind: Kind, tracker_id: int, edge_url: str) -> dict[str, str]:
    """Return `image` and `script` of an impression tracker, or `click` of a click tracker."""
    if kind == "clk":
        return {"click": tag_urls.click_url(edge_url, tracker_id)}
    return {
        "image": tag_urls.image_url(edge_url, tracker_id),
        "script": tag_urls.script_url(edge_url, tracker_id),
    }


@cache
def base_url_warning(edge_url: str) -> str | None:
    """Return why tags with this base do not work on most pages; None when nothing speaks against it."""
    url = urlsplit(edge_url)
    reasons = []
    if url.scheme != "https":
        reasons.append("a page on https loads nothing from http")
    if _is_this_machine(url.hostname or ""):
        reasons.append(f"no other machine reaches {url.hostname}")
    if not reasons:
        return None
    return f"tags begin with {edge_url}: {', and '.join(reasons)}; ONEBYONE_PUBLIC_URL sets their base"


def _is_this_machine(host: str) -> bool:
    name = host.rstrip(".").lower()
    try:
        address = ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    return bool((getattr(address, "ipv4_mapped", None) or address).is_loopback)
