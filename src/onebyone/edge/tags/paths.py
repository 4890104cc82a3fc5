"""The paths of the tag endpoints, and paths that were meant to be one of them."""

from __future__ import annotations

import re

from onebyone.contracts.events import Kind

PATHS: dict[str, Kind] = {"/imptr": "imp", "/clktr": "clk", "/clktrb": "clk"}
"""The tag endpoints, with the kind of event that each records."""

_SIMILAR = re.compile(r"(?:^|[/\\\s])(imptr|clktrb?)(?![a-z0-9_-])", re.IGNORECASE)
"""The name of an endpoint, in any case, anywhere in a path and with anything after it."""


def tag_kind(path: str) -> Kind | None:
    """Return the kind of event that a path records, with or without a slash at its end; None if it is no tag's."""
    return PATHS.get(path) or PATHS.get(path.removesuffix("/"))


def similar_kind(path: str) -> Kind | None:
    """Return the kind of event that a path was meant to record: `//imptr`, `/Imptr`, `/tags/imptr`, `/imptr&id=1`."""
    found = _SIMILAR.search(path)
    return None if found is None else PATHS[f"/{found[1].lower()}"]
