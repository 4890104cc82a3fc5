"""`line-item`: what an advertiser pays for and trackers count for, with or without guaranteed delivery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.config_store import tables
from onebyone.errors import NotFound
from onebyone.reports.delivery_stats import DeliveryStats
from onebyone.resources import labels
from onebyone.resources.entities import budget, flat_fee, flight, guaranteed_delivery
from onebyone.resources.entities.insertion_order import ORDERS, show_order_in_line_item
from onebyone.resources.entities.line_item_body import FIXED, OUTPUT, LineItemBody
from onebyone.resources.entities.line_item_parts import (
    ConversionPixel,
    Creative,
    check_parts,
    show_auction_event,
    with_null_keys,
)
from onebyone.resources.entities.tracker import Clicktracker, Imptracker
from onebyone.resources.entity import Carried, Entity, Reference, Values
from onebyone.resources.inherited_defaults import inherit_zone_and_currency
from onebyone.resources.paging import Query
from onebyone.resources.unit_of_work import UnitOfWork

MARGIN_MAX = 100
"""Greatest `revenue_value` of `cost_plus_margin`, a multiple of the cost: it keeps revenue far below 64 bits."""
TRACKERS = (Imptracker(), Clicktracker())
_PRICE = ("revenue_type", "revenue_value")
_LOCKED = "inventory_type cannot be updated once supply_strategies has been set"
_FULL_BUDGET = ("start_date", "end_date", *budget.BUDGETS, *budget.PACING)


class LineItem(Entity):
    """A line item; one with a `line_item_subtype` has guaranteed delivery, which cannot be changed later."""

    service = "line-item"
    table = tables.line_item
    body = LineItemBody
    parent = Reference("advertiser_id", "advertiser_id", tables.advertiser)
    code_owner = "advertiser_id"
    immutable = frozenset({"currency", "line_item_subtype"})
    partial = frozenset(
        {
            *("budget_intervals", "delivery_goal", "supply_strategies", "flat_fee", "roadblock", "auction_event"),
            *("labels", "pixels", "creatives", "budget_scheduling_settings"),
        }
    )
    discriminators = frozenset(
        {
            *("line_item_subtype", "line_item_type", "revenue_type", "flat_fee_type", "flat_fee", "ad_types"),
            *("supply_strategies", "inventory_type", "creative_distribution_type", "timezone"),
            *("budget_intervals", "delivery_goal", "insertion_orders"),
        }
    )
    optional = {  # noqa: RUF012
        "insertion_order_id": "include_insertion_order_id",
        "all_stats": "all_status",
        **dict.fromkeys(flight.RUNS, "flight_info"),
    }
    ranged = frozenset(flight.RUNS)
    flags = {flight.NEVER: "read"}  # noqa: RUF012
    derived = {  # noqa: RUF012
        **dict.fromkeys(("remaining_days", "total_days"), "int"),
        **dict.fromkeys(("bid_object_type", "delivery_model_type"), "string"),
        **dict.fromkeys(("advertiser", "auction_event", "delivery_goal", "flat_fee"), "object"),
        **dict.fromkeys(("labels", "insertion_orders", "budget_intervals", "pixels", "creatives"), "array of objects"),
        **dict.fromkeys(("imptrackers", "clicktrackers"), "array of objects"),
        "budget_set_per_flight": "boolean",
        "insertion_order_id": "int",
        "all_stats": "array of objects",
        **dict.fromkeys(flight.RUNS, "date"),
    }
    fixed = FIXED
    output = OUTPUT

    async def load(self, work: UnitOfWork, stored: Values) -> Values:
        orders = await ORDERS.targets_of(work.connection, [stored["id"]])
        return {"insertion_orders": [{"id": order} for order in orders.get(stored["id"], ())] or None}

    async def check(self, work: UnitOfWork, values: Values, stored: Values | None, owners: Values) -> Carried:
        advertiser = await work.find_row(tables.advertiser, owners["advertiser_id"]) if owners else None
        if advertiser is None:
            return {}
        old = {} if stored is None else stored["doc"]
        if (
            stored is not None
            and work.delivery_stats is not None
            and await flat_fee.is_fully_allocated(work.delivery_stats, stored)
        ):
            work.conflict("flat_fee", "was allocated, the line item is no longer editable")
        guaranteed = values["line_item_subtype"] is not None
        inherit_zone_and_currency(values, advertiser)
        values["ad_types"] = list(dict.fromkeys(values["ad_types"])) if values["ad_types"] else ["banner"]
        if values["manage_creative"] is None:
            values["manage_creative"] = guaranteed
        _check_inventory_type(work, values, old)
        order_ids = [order["id"] for order in values.pop("insertion_orders") or ()]
        orders = await _load_orders(work, order_ids, owners["advertiser_id"])
        await budget.check_intervals(work, values, stored)
        if guaranteed:
            guaranteed_delivery.apply_subtype(values)
        else:
            _complete_plain(work, values, old)
        check_parts(work, values)
        if guaranteed:
            guaranteed_delivery.check_guaranteed_delivery(work, values, order_ids, orders)
        if values["delivery_goal"] is not None:
            known = (old.get("delivery_goal") or {}).get("id")
            values["delivery_goal"]["id"] = known or await work.new_part_id()
        if not work.faults and not guaranteed_delivery.intervals_covered(values, orders):
            work.conflict("budget_intervals", "must lie within a budget interval of the insertion order")
        return {"insertion_orders": order_ids}

    async def created(self, work: UnitOfWork, row: Values, carried: Carried) -> None:
        await ORDERS.replace(work, row["id"], carried["insertion_orders"])

    async def modified(self, work: UnitOfWork, before: Values, after: Values, carried: Carried) -> None:
        orders = (await ORDERS.targets_of(work.connection, [before["id"]])).get(before["id"], [])
        moved = orders != list(dict.fromkeys(carried["insertion_orders"]))
        if moved:
            await ORDERS.replace(work, before["id"], carried["insertion_orders"])
        if moved or any(before["doc"].get(field) != after["doc"].get(field) for field in _PRICE):
            await work.republish_trackers("line_item_id", before["id"])

    async def delete(self, work: UnitOfWork, ids: Sequence[int]) -> None:
        for tracker in TRACKERS:
            tracker_ids = select(tracker.table.c.id).where(
                tracker.table.c.member_id == work.member_id, tracker.table.c.line_item_id.in_(ids)
            )
            await tracker.delete(work, list(await work.connection.scalars(tracker_ids)))
        await super().delete(work, ids)

    async def related(self, connection: AsyncConnection, rows: Sequence[Values]) -> dict[int, Values]:
        member_id = rows[0]["member_id"]
        advertiser, order = tables.advertiser.c, tables.insertion_order
        owners = select(advertiser.id, advertiser.name).where(
            advertiser.member_id == member_id, advertiser.id.in_({row["advertiser_id"] for row in rows})
        )
        named = {row.id: row.name for row in await connection.execute(owners)}
        of_line = await ORDERS.targets_of(connection, [row["id"] for row in rows])
        wanted = {order_id for order_ids in of_line.values() for order_id in order_ids}
        query = select(order).where(order.c.member_id == member_id, order.c.id.in_(wanted))
        orders = {row["id"]: dict(row) for row in (await connection.execute(query)).mappings()} if wanted else {}
        shown = {
            row["id"]: _derived_fields(
                row, named.get(row["advertiser_id"]), [orders[key] for key in of_line.get(row["id"], ())]
            )
            for row in rows
        }
        for tracker in TRACKERS:
            columns = tracker.table.c
            query = select(columns.line_item_id, columns.id, columns.name, columns.code, columns.state)
            query = query.where(columns.member_id == member_id, columns.line_item_id.in_(list(shown)))
            for row in (await connection.execute(query.order_by(columns.id))).mappings():
                element = {name: row[name] for name in ("id", "name", "code", "state")}
                line_item = shown[row["line_item_id"]]
                line_item[tracker.plural] = [*(line_item.get(tracker.plural) or ()), element]
        return shown

    async def delivery_fields(
        self, delivery_stats: DeliveryStats, rows: Sequence[Values], keys: Sequence[str]
    ) -> Mapping[int, Values]:
        ids = [row["id"] for row in rows]
        fields: dict[int, Values] = {row_id: {} for row_id in ids}
        if any(name in keys for name in flight.RUNS):
            runs = await delivery_stats.run_hours(ids)
            fields = {row_id: flight.show_run(runs.get(row_id)) for row_id in ids}
        if "all_stats" in keys:
            for row_id, stats in (await delivery_stats.interval_stats(ids)).items():
                fields[row_id]["all_stats"] = stats
        for row in rows:
            if not row["doc"].get("line_item_subtype"):
                fields[row["id"]] |= budget.remaining_days(row["doc"], delivery_stats.now_ms)
        if "flat_fee" in keys:
            fees = {row["id"]: row["doc"].get("flat_fee") for row in rows}
            for row_id, status in (await flat_fee.flat_fee_statuses(delivery_stats, rows)).items():
                fields[row_id]["flat_fee"] = flat_fee.show_flat_fee(fees[row_id], status)
        return fields

    async def delivery_conditions(
        self,
        connection: AsyncConnection,
        delivery_stats: DeliveryStats,
        query: Query,
        where: Sequence[ColumnElement[bool]],
    ) -> Sequence[ColumnElement[bool]]:
        if not flight.filters_by_runs(query):
            return ()
        candidates = select(self.table.c.id).where(self.table.c.member_id == delivery_stats.member_id, *where)
        return [await flight.run_condition(delivery_stats, query, list(await connection.scalars(candidates)))]


async def _load_orders(work: UnitOfWork, order_ids: Sequence[int], advertiser_id: int) -> list[Values]:
    """Return the rows of the insertion orders; add a fault for each that is not the advertiser's."""
    rows = []
    for place, order_id in enumerate(order_ids):
        row = await work.find_row(tables.insertion_order, order_id)
        path = f"insertion_orders.{place}.id"
        if row is None:
            work.invalid(path, str(NotFound("insertion-order", order_id)))
        elif row["advertiser_id"] != advertiser_id:
            work.conflict(path, f"insertion-order {order_id} does not belong to advertiser {advertiser_id}")
        else:
            rows.append(row)
    return rows


def _check_inventory_type(work: UnitOfWork, values: Values, old: Values) -> None:
    locked = any((old.get("supply_strategies") or {}).values())
    if locked and values["inventory_type"] != old.get("inventory_type"):
        work.conflict("", _LOCKED)


def _complete_plain(work: UnitOfWork, values: Values, old: Values) -> None:
    """Fill in the defaults and check the rules of a line item without guaranteed delivery."""
    values["line_item_type"] = values["line_item_type"] or "standard_v1"
    if old and values["line_item_type"] != old.get("line_item_type", "standard_v1"):
        work.conflict("line_item_type", "cannot be changed")
    values["revenue_type"] = values["revenue_type"] or "cpm"
    values["revenue_value"] = Decimal(0) if values["revenue_value"] is None else values["revenue_value"]
    if values["revenue_type"] == "cost_plus_margin" and values["revenue_value"] > MARGIN_MAX:
        work.invalid("revenue_value", f"a margin is a share of the cost, at most {MARGIN_MAX}")
    values["creative_distribution_type"] = values["creative_distribution_type"] or "even"
    if values["delivery_goal"] is not None:
        work.invalid("delivery_goal", "needs a line_item_subtype of guaranteed delivery")
    budget.refuse_beside_intervals(work, values, _FULL_BUDGET)


def _derived_fields(row: Values, advertiser: str | None, orders: Sequence[Values]) -> Values:
    doc = row["doc"]
    subtype = doc.get("line_item_subtype")
    goal, fee = doc.get("delivery_goal"), doc.get("flat_fee")
    models = {"gd_buying_imp": "guaranteed", "gd_buying_exclusive": "exclusive"}
    active = [order["id"] for order in orders if order["state"] == "active"]
    return {
        "line_item_type": doc.get("line_item_type") or "standard_v1",
        "bid_object_type": "creative" if subtype else None,
        "delivery_model_type": models.get(subtype or ""),
        "advertiser": {"id": row["advertiser_id"], "name": advertiser},
        "auction_event": show_auction_event(doc.get("auction_event")),
        "delivery_goal": goal and {**goal, "guaranteed_delivery_version": None},
        "flat_fee": fee and flat_fee.show_flat_fee(fee, "pending"),
        "labels": labels.with_label_names(doc.get("labels")),
        "pixels": with_null_keys(doc.get("pixels"), ConversionPixel),
        "creatives": with_null_keys(doc.get("creatives"), Creative),
        "insertion_orders": [show_order_in_line_item(order) for order in orders] or None,
        "insertion_order_id": active[0] if active else None,
        "budget_intervals": budget.show_intervals(
            doc.get("budget_intervals"), row["id"], "campaign_group", doc["timezone"]
        ),
        "budget_set_per_flight": bool(doc.get("budget_intervals")),
        "imptrackers": None,
        "clicktrackers": None,
    }
