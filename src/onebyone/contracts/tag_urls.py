"""The URLs of tags, as the edge answers them, with a placeholder that the ad server fills in."""

from __future__ import annotations

_CACHEBUSTER = "cachebuster=[CACHEBUSTER]"


def image_url(edge_url: str, tracker_id: int) -> str:
    """Return the URL of an impression tracker's image; `edge_url` has no trailing slash."""
    return f"{edge_url}/imptr?id={tracker_id}&t=2&{_CACHEBUSTER}"


def script_url(edge_url: str, tracker_id: int) -> str:
    """Return the URL of an impression tracker's script."""
    return f"{edge_url}/imptr?id={tracker_id}&t=1&{_CACHEBUSTER}"


def plain_click_url(edge_url: str, tracker_id: int) -> str:
    """Return the shortest URL of a click tracker, to which parameters are added."""
    return f"{edge_url}/clktr?id={tracker_id}"


def click_url(edge_url: str, tracker_id: int) -> str:
    """Return the URL that an ad with a click tracker links to; `&redir=` and a target may follow."""
    return f"{plain_click_url(edge_url, tracker_id)}&{_CACHEBUSTER}"
