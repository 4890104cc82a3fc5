"""The filters of a read: one for each field that a column or a plain value of the document holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, String, Table, and_, cast, func, or_

from onebyone.config_store import trigrams
from onebyone.contracts.money import to_micros
from onebyone.errors import Fault, Refused
from onebyone.resources import field_shapes
from onebyone.resources.entity import Entity, range_parameters
from onebyone.resources.fields import MAX_ID, loose_timestamp

VALUES_A_FILTER = 1000
"""Values of one parameter: as many ids as clients send in one request."""
LIKE_MAX = 255
"""Characters of a part of a text that are searched for: the length of the longest name."""
PREFIXES = ("nmin_", "nmax_", "min_", "max_", "not_", "like_")
_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
_IGNORED = ("search", "member_id")
"""Parameters that are accepted where they filter nothing: every object is of the caller's member."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One field that a read can filter and sort by."""

    name: str
    column: ColumnElement[Any]
    word: str
    choices: tuple[Any, ...] = ()
    """All values of a column that is never null, where they are known."""
    in_utc: bool = False
    """Whether a date is in UTC, instead of in the time zone of each object."""

    def value(self, parameter: str, text: str) -> Any:
        """Return the value that `text` means for this field. Raise `Refused` for one of another type."""
        try:
            return self._value(text.strip())
        except (ValueError, KeyError):
            raise Refused(Fault(parameter, f"not {_ARTICLES[self.word]}: {text[:40]!r}")) from None

    def _value(self, text: str) -> Any:
        match self.word:
            case "int":
                number = int(text) if _INTEGER.fullmatch(text) else None
                if number is None or abs(number) > MAX_ID:
                    raise ValueError
                return number
            case "boolean":
                return _TRUTH[text.lower()]
            case "date":
                return loose_timestamp(text, "UTC" if self.in_utc else None)
            case "money" | "double":
                if not _NUMBER.fullmatch(text):
                    raise ValueError
                if self.word == "double":
                    return float(text)
                # An amount beyond all stored ones compares like the greatest integer of the store.
                return max(-MAX_ID, min(MAX_ID, to_micros(Decimal(text))))
            case _:
                return text.casefold() if self.name == "code" else text


_ARTICLES = {
    "int": "an integer",
    "boolean": "true or false",
    "date": "a date (YYYY-MM-DD HH:MM:SS; with a time zone only where the field is in UTC)",
    "money": "an amount",
    "double": "a number",
    "string": "a text",
}


@cache
def entity_filters(entity: Entity) -> dict[str, Filter]:
    """Return the filters of an entity by field."""
    columns = entity.table.c
    known = {}
    for link in entity.links:
        known[link.column] = Filter(link.column, columns[link.column], "int")
    for name, shape in field_shapes.entity_shapes(entity).items():
        if name in known or shape.word not in field_shapes.SCALARS:
            continue
        if name == "code" and "code_key" in columns:
            known[name] = Filter(name, columns.code_key, "string")
        elif name in columns:
            choices = () if columns[name].nullable else shape.choices
            known[name] = Filter(name, columns[name], shape.word, choices, in_utc=True)
        elif name in entity.body.model_fields:
            known[name] = Filter(name, _in_document(entity, name, shape), shape.word)
    return known


def _in_document(entity: Entity, name: str, shape: field_shapes.Shape) -> ColumnElement[Any]:
    """Return a plain value of the document; a row that is older than the field has its default."""
    part = entity.table.c.doc[name]
    value: ColumnElement[Any]
    match shape.word:
        case "int" | "money":
            value = cast(part.as_string(), BigInteger)
        case "boolean":
            value = part.as_boolean()
        case "double":
            value = part.as_float()
        case _:
            value = part.as_string()
    default = entity.default(name)
    return value if default is None or shape.nullable else func.coalesce(value, default)


def filter_conditions(
    entity: Entity, member_id: int, filters: Mapping[str, str], warnings: list[str]
) -> list[ColumnElement[bool]]:
    """Return the conditions of all filters together; add a warning for each parameter that filters nothing."""
    known = entity_filters(entity)
    ignored = {*_IGNORED, *entity.flags, *entity.optional.values(), *range_parameters(entity.ranged)}
    conditions = []
    for parameter, text in filters.items():
        condition = _condition(entity, member_id, known, parameter, text)
        if condition is not None:
            conditions.append(condition)
        elif parameter not in ignored:
            warnings.append(f"query parameter not used: {parameter[:40]}")
    return conditions


def _condition(
    entity: Entity, member_id: int, known: Mapping[str, Filter], parameter: str, text: str
) -> ColumnElement[bool] | None:
    table = entity.table
    if parameter == "search":
        either = or_(_like(cast(table.c.id, String), text), _like(table.c[entity.search_column], text))
        return _with_trigrams(table, entity.search_column, member_id, text, either)
    if parameter in known:
        return _one_of(known[parameter].column, _values(known[parameter], parameter, text))
    for prefix in PREFIXES:
        name = parameter.removeprefix(prefix)
        if name != parameter and name in known:
            if prefix != "like_":
                return _prefixed(prefix, known[name], parameter, text)
            part = text.casefold() if name == "code" else text
            column = known[name].column
            return _with_trigrams(table, column.key, member_id, part, _like(cast(column, String), part))
    return None


def _one_of(column: ColumnElement[Any], values: list[Any]) -> ColumnElement[bool]:
    # One value becomes an equality, so that an index gives the order of its next column as well.
    return column == values[0] if len(values) == 1 else column.in_(values)


def _prefixed(prefix: str, filtered: Filter, parameter: str, text: str) -> ColumnElement[bool] | None:
    column = filtered.column
    if prefix == "not_":
        values = _values(filtered, parameter, text)
        # An index finds the other choices, but cannot skip these.
        others = [choice for choice in filtered.choices if choice not in values]
        return _one_of(column, others) if others else or_(column.is_(None), column.not_in(values))
    if filtered.word not in field_shapes.ORDERED:
        return None
    value = filtered.value(parameter, text)
    ranged = column >= value if prefix in ("min_", "nmin_") else column <= value
    return or_(column.is_(None), ranged) if prefix.startswith("n") else ranged


def _values(filtered: Filter, parameter: str, text: str) -> list[Any]:
    parts = text.split(",")
    if len(parts) > VALUES_A_FILTER:
        raise Refused(Fault(parameter, f"at most {VALUES_A_FILTER} values"))
    return [filtered.value(parameter, part) for part in parts]


def _like(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    return column.icontains(text[:LIKE_MAX], autoescape=True)


def _with_trigrams(
    table: Table, column: str | None, member_id: int, text: str, exact: ColumnElement[bool]
) -> ColumnElement[bool]:
    """Return a condition on a part of a text, with the trigram index that finds it where there is one."""
    part = text[:LIKE_MAX]
    if len(part) < trigrams.TRIGRAM_LENGTH or not trigrams.has_trigram_index(table, column):
        return exact
    return and_(trigrams.TrigramMatch(table, member_id, part), exact)
