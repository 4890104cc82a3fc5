"""When line items ran: `first_run`, `last_run` and the filters on them (line-item-service, GDALI)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import BindParameter, ColumnElement, bindparam, false

from onebyone.config_store import tables
from onebyone.errors import Fault, Refused
from onebyone.reports.delivery_stats import DeliveryStats, RunHours
from onebyone.resources.entities.budget import utc_of_wall_clock
from onebyone.resources.entity import Values, range_parameters
from onebyone.resources.fields import loose_timestamp
from onebyone.resources.paging import Query
from onebyone.resources.unit_of_work import timestamp

RUNS = ("first_run", "last_run")
RANGES = tuple(range_parameters(RUNS))
NEVER = "never_run"


def show_run(run: RunHours | None) -> Values:
    """Return `first_run` and `last_run` of a line item, to the hour."""
    if run is None:
        return dict.fromkeys(RUNS)
    return {name: timestamp(hour * 1000) for name, hour in zip(RUNS, run, strict=True)}


def filters_by_runs(query: Query) -> bool:
    """Return whether a read filters by runs."""
    return query.flags.get(NEVER, False) or any(name in query.filters for name in RANGES)


async def run_condition(delivery_stats: DeliveryStats, query: Query, candidates: Sequence[int]) -> ColumnElement[bool]:
    """Return the condition that selects the candidates whose run is in all requested ranges.

    With `never_run` it also selects those that never ran. Raise `Refused` for a bound that is not a date.
    """
    bounds = {name: _parse_bound(name, query.filters[name]) for name in RANGES if name in query.filters}
    runs = await delivery_stats.run_hours(candidates)
    never = query.flags.get(NEVER, False)
    selected = [
        line_item
        for line_item in candidates
        if (never and line_item not in runs) or (bounds and _within_bounds(runs.get(line_item), bounds))
    ]
    # The ids become text of the statement, because a store limits the number of parameters.
    ids: BindParameter[int] = bindparam(None, selected, expanding=True, literal_execute=True)
    return tables.line_item.c.id.in_(ids) if selected else false()


def _parse_bound(name: str, text: str) -> int:
    try:
        return int(utc_of_wall_clock(loose_timestamp(text.strip(), "UTC"), "UTC").timestamp())
    except ValueError:
        raise Refused(Fault(name, f"not a date (YYYY-MM-DD HH:MM:SS): {text[:40]!r}")) from None


def _within_bounds(run: RunHours | None, bounds: Mapping[str, int]) -> bool:
    for name, bound in bounds.items():
        prefix, _, field = name.partition("_")
        if run is None:
            # `nmin` and `nmax` also accept line items that never ran.
            within = prefix.startswith("n")
        else:
            hour = run.first if field == "first_run" else run.last
            within = hour >= bound if prefix.endswith("min") else hour <= bound
        if not within:
            return False
    return True
