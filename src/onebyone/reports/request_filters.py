"""What a report request asks for besides its time: columns, filters, conditions on metrics, order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from onebyone.reports.column_permissions import KnownColumns
from onebyone.reports.columns import Dimension, Metric
from onebyone.reports.request_fields import RequestFields, parse_decimal, parse_integer

FILTER_VALUES = 1000
"""Values of one filter: each is an SQL parameter, and all filters together must stay below SQLite's 32,766."""
OPERATORS = (">", ">=", "<", "<=", "=", "!=")
OWNERS = ("advertiser_id", "publisher_id")
"""Filters that may be given apart from the request's fields: by the caller's limit, or in a query string."""

HiddenColumns = Mapping[str, str]
"""Name of a column of the report type -> why the caller may not name it."""


@dataclass(frozen=True, slots=True)
class GroupFilter:
    """`column operator value`: a condition on a metric of a group."""

    column: str
    operator: str
    value: Decimal


def read_columns(fields: RequestFields, known: KnownColumns, hidden: HiddenColumns) -> tuple[str, ...]:
    """Return the names in `columns`."""
    columns = fields.read_list("columns")
    if not columns:
        fields.add_fault("columns", "at least one is required")
    for index, column in enumerate(columns):
        if not isinstance(column, str) or column not in known:
            fields.add_fault(f"columns[{index}]", "not a column of this report type")
        elif column in hidden:
            fields.add_fault(f"columns[{index}]", hidden[column])
        elif columns.index(column) != index:
            fields.add_fault(f"columns[{index}]", f"{column} is repeated")
    return tuple(column for column in columns if isinstance(column, str))


def read_filters(
    fields: RequestFields, owners: Mapping[str, str | int], known: KnownColumns, hidden: HiddenColumns
) -> dict[str, tuple[int, ...]]:
    """Return column -> accepted values, from `filters` and then from `owners`."""
    filters: dict[str, tuple[int, ...]] = {}
    entries = fields.read_entries("filters")
    entries += [(name, name, owners[name]) for name in OWNERS if name in owners]
    for path, name, value in entries:
        column = known.get(name)
        if not isinstance(column, Dimension) or not column.filterable:
            fields.add_fault(path, "not a filter of this report type")
        elif name in hidden:
            fields.add_fault(path, hidden[name])
        elif name in filters:
            fields.add_fault(path, "given twice; use one list")
        else:
            values = [parse_integer(part) for part in (value if isinstance(value, list) else [value])]
            if not values or len(values) > FILTER_VALUES or None in values:
                fields.add_fault(path, f"must be an integer or a list of 1 to {FILTER_VALUES} integers")
            filters[name] = tuple(part for part in values if part is not None)
    return filters


def read_group_filters(fields: RequestFields, known: KnownColumns, hidden: HiddenColumns) -> tuple[GroupFilter, ...]:
    """Return the conditions in `group_filters`."""
    group_filters = []
    for path, column, value in fields.read_entries("group_filters"):
        if not isinstance(known.get(column), Metric):
            fields.add_fault(path, "not a metric of this report type")
            continue
        if column in hidden:
            fields.add_fault(path, hidden[column])
            continue
        condition = value if isinstance(value, dict) else {}
        number = parse_decimal(condition.get("value"))
        operator = condition.get("operator")
        if number is None:
            fields.add_fault(f"{path}.value", "must be a number")
        if operator not in OPERATORS:
            fields.add_fault(f"{path}.operator", f"must be one of {' '.join(OPERATORS)}")
        if number is not None and operator in OPERATORS:
            group_filters.append(GroupFilter(column, operator, number))
    return tuple(group_filters)


def read_orders(fields: RequestFields, columns: tuple[str, ...], hidden: HiddenColumns) -> tuple[tuple[str, bool], ...]:
    """Return (column, descending) of each element of `orders`, which may be an object or just a column's name."""
    orders: list[tuple[str, bool]] = []
    for index, element in enumerate(fields.read_list("orders")):
        order = element if isinstance(element, dict) else {"order_by": element}
        column, direction = order.get("order_by"), order.get("direction", "ASC")
        if isinstance(column, str) and column in hidden:
            fields.add_fault(f"orders[{index}]", hidden[column])
        elif column not in columns:
            fields.add_fault(f"orders[{index}]", "must name a column of this report")
        elif str(direction).upper() not in ("ASC", "DESC"):
            fields.add_fault(f"orders[{index}].direction", "must be ASC or DESC")
        elif column in dict(orders):
            fields.add_fault(f"orders[{index}]", f"{column} is repeated")
        else:
            orders.append((column, str(direction).upper() == "DESC"))
    return tuple(orders)
