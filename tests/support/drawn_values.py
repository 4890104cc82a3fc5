"""Hypothesis strategies for the JSON Schemas that the OpenAPI document uses."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from onebyone.resources.fields import TIME_ZONE, TIMESTAMP
from tests.support.api_contract import resolved
from tests.support.time_zones import allowed_time_zones

Drawn = st.SearchStrategy[Any]
_PLAIN = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])
_MOMENTS = st.datetimes().map(lambda moment: moment.strftime("%Y-%m-%d %H:%M:%S").zfill(19))
_FEW = 3
"""Greatest number of elements in an array, and of optional properties in an object: more find nothing new."""


def values(schema: dict[str, Any]) -> Drawn:
    """Return a strategy for valid values."""
    schema = resolved(schema)
    if "anyOf" in schema:
        return st.one_of(*map(values, schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(schema.get("minimum"), schema.get("maximum"))
        case "number":
            return _numbers(schema)
        case "array":
            return st.lists(values(schema["items"]), min_size=schema.get("minItems", 0), max_size=_FEW)
        case "object":
            return objects(schema)
        case _:
            return _texts(schema)


def objects(schema: dict[str, Any]) -> Drawn:
    """Return a strategy for objects with all required properties and a few others, but no ids of the server."""
    properties = resolved(schema)["properties"]
    required = schema.get("required", [])
    more = [name for name in properties if name not in required and name != "id"]

    def drawn(names: list[str]) -> Drawn:
        return st.fixed_dictionaries({name: values(properties[name]) for name in [*required, *names]})

    if not more:
        return drawn([])
    return st.lists(st.sampled_from(more), unique=True, max_size=_FEW).flatmap(drawn)


def _numbers(schema: dict[str, Any]) -> Drawn:
    greatest = schema.get("maximum", schema.get("exclusiveMaximum", 10**9) - 1)
    least = schema.get("minimum", -(10**9))
    return st.one_of(
        st.integers(least, greatest),
        st.integers(int(least * 1000), int(greatest * 1000)).map(lambda thousandths: thousandths / 1000),
    )


def _texts(schema: dict[str, Any]) -> Drawn:
    pattern = schema.get("pattern", "")
    if pattern == TIMESTAMP["pattern"]:
        return _MOMENTS
    if schema.get("description") == TIME_ZONE["description"]:
        return st.sampled_from(sorted(allowed_time_zones()))
    if "https?" in pattern.lower() or "[ss]://" in pattern.lower():
        return st.from_regex(r"https://[a-z]{1,9}\.example/[a-zA-Z0-9?=&%/$-]{0,30}", fullmatch=True)
    if schema.get("format") == "idn-hostname":
        return st.from_regex(r"([a-z0-9]{1,9}\.){1,2}[a-z]{2,9}", fullmatch=True)
    least, greatest = schema.get("minLength", 0), schema.get("maxLength", 300)
    if "A-Z" in pattern:
        return st.text("abcXYZ019._-", min_size=max(1, least), max_size=greatest)
    return st.text(_PLAIN, min_size=least, max_size=greatest).filter(lambda text: not least or bool(text.strip()))


def wrong(schema: dict[str, Any]) -> Drawn:
    """Return a strategy for values that are never valid: of another type, or out of all bounds."""
    schema = resolved(schema)
    kinds = {resolved(part)["type"] for part in schema.get("anyOf", [schema])}
    if {"object", "array"} & kinds:
        return st.sampled_from(["text", 5, True, [["nested"]]])
    odd: list[Any] = [{"a": 1}, [["nested"]], 10**30, -(10**30)]
    if "string" in kinds:
        odd += ["\x00", "a\x00b", "\u0001", "x" * 20_000, 1.5, False]
    elif "boolean" not in kinds:
        odd += ["one", "1e400", "\x00"]
    return st.sampled_from(odd)
