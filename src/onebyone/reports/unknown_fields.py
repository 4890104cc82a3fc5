"""Fields of a report request that mean nothing here, such as `emails`: they are ignored, and each causes a warning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

WARNINGS_MAX = 100
"""Warnings of one request; a megabyte of JSON can hold half a million unknown fields."""

_ORDER_KEYS = ("order_by", "direction")
_CONDITION_KEYS = ("operator", "value")


def warn_of_unknown_fields(
    fields: Mapping[str, Any], known: Sequence[str], beside: Sequence[str], warnings: list[str]
) -> None:
    """Add a warning for each name beside the report, and each unknown field in it, up to `WARNINGS_MAX`.

    `known` are the fields of a request; keys of `filters` and `group_filters` are columns, and faults if unknown.
    """
    paths = [*beside, *(f"report.{name}" for name in fields if name not in known)]
    paths += [f"report.{path}" for path in _nested_paths(fields)]
    add_warnings(paths, warnings)


def add_warnings(paths: Sequence[str], warnings: list[str]) -> None:
    """Add a warning for each of the paths of unknown fields, up to `WARNINGS_MAX`."""
    warnings += [f"unknown field not used: {path[:200]}" for path in paths[:WARNINGS_MAX]]


def _nested_paths(fields: Mapping[str, Any]) -> Iterator[str]:
    for place, order in _elements(fields, "orders"):
        yield from (f"orders.{place}.{key}" for key in order if key not in _ORDER_KEYS)
    for place, conditions in _elements(fields, "group_filters"):
        for column, condition in conditions.items():
            if isinstance(condition, dict):
                unknown = (key for key in condition if key not in _CONDITION_KEYS)
                yield from (f"group_filters.{place}.{column}.{key}" for key in unknown)


def _elements(fields: Mapping[str, Any], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    elements = fields.get(name)
    for place, element in enumerate(elements if isinstance(elements, list) else ()):
        if isinstance(element, dict):
            yield place, element
