"""Builds the records that the edge answers by from the rows of the configuration store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.config_store import tables
from onebyone.contracts import keys
from onebyone.contracts.configuration import MemberRecord, TrackerRecord
from onebyone.contracts.events import Kind, Terms
from onebyone.resources import urls

Records = dict[str, bytes | None]
"""Redis key -> encoded record; None is a record that must go."""

CHUNK = 500
_TRACKERS: dict[Kind, Any] = {"imp": tables.imptracker, "clk": tables.clicktracker}


async def current(connection: AsyncConnection, names: Iterable[str]) -> Records:
    """The records of these Redis keys as the store has them now."""
    found: Records = dict.fromkeys(names)
    trackers: dict[Kind, list[int]] = {"imp": [], "clk": []}
    members = []
    for name in found:
        prefix, _, number = name.rpartition(":")
        if name.startswith(keys.MEMBER_PREFIX):
            members.append(int(number))
        else:
            trackers["imp" if prefix.endswith("imp") else "clk"].append(int(number))
    for kind, ids in trackers.items():
        for start in range(0, len(ids), CHUNK):
            found |= await _trackers(connection, kind, _TRACKERS[kind].c.id.in_(ids[start : start + CHUNK]))
    for start in range(0, len(members), CHUNK):
        found |= await _members(connection, tables.member.c.id.in_(members[start : start + CHUNK]))
    return found


async def everything(connection: AsyncConnection) -> AsyncIterator[Records]:
    """All records of the store, a chunk at a time."""
    last: int | None = 0
    while last is not None:
        last = await _next(connection, tables.member, last)
        if last is not None:
            yield await _members(connection, tables.member.c.id == last)
    for kind, table in _TRACKERS.items():
        last = 0
        while chunk := await _trackers(connection, kind, table.c.id > last, CHUNK):
            yield chunk
            last = max(int(name.rpartition(":")[2]) for name in chunk)


async def _next(connection: AsyncConnection, table: Any, after: int) -> int | None:
    found = await connection.scalar(select(func.min(table.c.id)).where(table.c.id > after))
    return None if found is None else int(found)


def _select(table: Any, where: ColumnElement[bool], limit: int | None) -> Select[Any]:
    line_item, publisher, placement, rule = (
        tables.line_item,
        tables.publisher,
        tables.placement,
        tables.payment_rule,
    )
    rule_id = func.coalesce(table.c.payment_rule_id, publisher.c.base_payment_rule_id)
    source = (
        table.join(line_item, line_item.c.id == table.c.line_item_id)
        .join(publisher, publisher.c.id == table.c.publisher_id)
        .outerjoin(placement, placement.c.id == table.c.placement_id)
        .outerjoin(rule, and_(rule.c.id == rule_id, rule.c.publisher_id == publisher.c.id))
    )
    click_url = table.c.click_url if "click_url" in table.c else literal(None)
    return (
        select(
            table,
            click_url.label("target"),
            func.coalesce(placement.c.site_id, publisher.c.default_site_id, 0).label("site_id"),
            func.coalesce(rule.c.id, 0).label("rule_id"),
            rule.c.doc.label("rule_doc"),
            line_item.c.doc.label("line_item_doc"),
            func.coalesce(_order(table), 0).label("order_id"),
        )
        .select_from(source)
        .where(where)
        .order_by(table.c.id)
        .limit(limit)
    )


def _order(table: Any) -> Any:
    """The first active insertion order of the tracker's line item."""
    link, order = tables.line_item_insertion_order, tables.insertion_order
    return (
        select(order.c.id)
        .join(link, link.c.insertion_order_id == order.c.id)
        .where(link.c.line_item_id == table.c.line_item_id, order.c.state == "active")
        .order_by(link.c.position)
        .limit(1)
        .scalar_subquery()
    )


async def _trackers(
    connection: AsyncConnection, kind: Kind, where: ColumnElement[bool], limit: int | None = None
) -> Records:
    rows = (await connection.execute(_select(_TRACKERS[kind], where, limit))).mappings()
    found: Records = {}
    for row in rows:
        record = TrackerRecord(
            id=row["id"],
            kind=kind,
            active=row["state"] == "active",
            member_id=row["member_id"],
            advertiser_id=row["advertiser_id"],
            line_item_id=row["line_item_id"],
            insertion_order_id=row["order_id"],
            publisher_id=row["publisher_id"],
            site_id=row["site_id"],
            tag_id=row["placement_id"] or 0,
            payment_rule_id=row["rule_id"],
            click_url=None if row["target"] is None else urls.location(row["target"]),
            terms=terms(row["line_item_doc"], row["rule_doc"]),
        )
        found[keys.tracker(kind, row["id"])] = record.encode()
    return found


def terms(line_item: dict[str, Any], rule: dict[str, Any] | None) -> Terms:
    """What an event earns and costs under this line item and payment rule (their documents)."""
    found = Terms()
    revenue_type, revenue = line_item.get("revenue_type", "cpm"), line_item.get("revenue_value", 0)
    if revenue_type != "none" and revenue:
        found["pricing_type"] = revenue_type
        found["revenue_value"] = revenue
    if rule is not None and rule.get("pricing_type", "revshare") == "cpm":
        found["cost_cpm"] = rule.get("cost_cpm") or 0
    elif rule is not None and rule.get("revshare"):
        found["revshare"] = rule["revshare"]
    return found


async def _members(connection: AsyncConnection, where: ColumnElement[bool]) -> Records:
    clicks = tables.clicktracker.c
    found: Records = {}
    rows: Sequence[Any] = (await connection.execute(select(tables.member).where(where))).mappings().all()
    for row in rows:
        hosts = select(clicks.click_host).where(clicks.member_id == row["id"], clicks.click_host.is_not(None))
        record = MemberRecord(
            id=row["id"],
            redirect_policy=row["doc"].get("redirect_policy", "approved"),
            redirect_domains=tuple(row["doc"].get("redirect_domains", ())),
            click_hosts=tuple(await connection.scalars(hosts.distinct().order_by(clicks.click_host))),
        )
        found[keys.member(row["id"])] = record.encode()
    return found
