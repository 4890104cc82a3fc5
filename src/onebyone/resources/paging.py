"""What a read asks for: filters, order, a page, and which fields to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PAGE = 100
"""Default and greatest number of objects on a page; a greater one is reduced without an error, as documented."""


@dataclass(frozen=True, slots=True)
class Page:
    """A slice of a list."""

    start: int = 0
    size: int = PAGE


@dataclass(frozen=True, slots=True)
class Query:
    """A read of one entity; everything is optional."""

    filters: Mapping[str, str] = field(default_factory=dict)
    """Parameter -> text of its values: `{"state": "active", "min_priority": "3", "advertiser_code": "A1"}`."""
    sort: Sequence[str] = ()
    """Fields in order of their weight, each with `.asc` or `.desc` after it if wanted: `("name", "id.desc")`."""
    page: Page = Page()
    fields: Sequence[str] = ()
    """Fields to show; empty: all."""
    nested: bool = True
    """Whether to show fields that hold objects and arrays."""
    flags: Mapping[str, bool] = field(default_factory=dict)
    """Flags of the entity that are set or unset: fields shown on demand, and filters without a value."""
