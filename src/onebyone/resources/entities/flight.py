"""When line items ran: `first_run`, `last_run`, `all_stats`, and the filters on runs (line-item-service, GDALI)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import BindParameter, ColumnElement, bindparam, false

from onebyone.config_store import tables
from onebyone.errors import Fault, Refused
from onebyone.reports.delivery_stats import DeliveryStats, RunHours
from onebyone.resources import paging as queries
from onebyone.resources.entities.budget import utc_of_wall_clock
from onebyone.resources.entity import Values, ranges
from onebyone.resources.fields import loose_timestamp
from onebyone.resources.unit_of_work import timestamp

RUNS = ("first_run", "last_run")
RANGES = tuple(ranges(RUNS))
NEVER = "never_run"


def show_run(run: RunHours | None) -> Values:
    """`first_run` and `last_run` of a line item, to the hour."""
    if run is None:
        return dict.fromkeys(RUNS)
    return {name: timestamp(hour * 1000) for name, hour in zip(RUNS, run, strict=True)}


def filters_by_runs(query: Mapping[str, str]) -> bool:
    """Whether a read filters by runs."""
    return queries.flag(query, NEVER) or any(name in query for name in RANGES)


async def run_condition(
    delivery_stats: DeliveryStats, query: Mapping[str, str], candidates: Sequence[int]
) -> ColumnElement[bool]:
    """The line items of `candidates` whose run is in all given ranges, or who never ran when that is asked for.

    Raises `DomainError`.
    """
    ranges = {name: _bound(name, query[name]) for name in RANGES if name in query}
    runs = await delivery_stats.run_hours(candidates)
    never = queries.flag(query, NEVER)
    found = [
        line_item
        for line_item in candidates
        if (never and line_item not in runs) or (ranges and _within(runs.get(line_item), ranges))
    ]
    # As text of the statement: a store takes a limited number of parameters.
    ids: BindParameter[int] = bindparam(None, found, expanding=True, literal_execute=True)
    return tables.line_item.c.id.in_(ids) if found else false()


def _bound(name: str, text: str) -> int:
    try:
        return int(utc_of_wall_clock(loose_timestamp(text.strip()), "UTC").timestamp())
    except ValueError:
        raise Refused(Fault(name, f"not a date (YYYY-MM-DD HH:MM:SS): {text[:40]!r}")) from None


def _within(run: RunHours | None, ranges: Mapping[str, int]) -> bool:
    for name, bound in ranges.items():
        prefix, _, field = name.partition("_")
        if run is None:
            held = prefix.startswith("n")
        else:
            hour = run.first if field == "first_run" else run.last
            held = hour >= bound if prefix.endswith("min") else hour <= bound
        if not held:
            return False
    return True
