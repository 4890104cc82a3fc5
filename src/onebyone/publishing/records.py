"""Builds the records that the edge answers from, out of rows of the configuration store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.config_store import tables
from onebyone.contracts import keys, locations
from onebyone.contracts.configuration import MemberRecord, TrackerRecord
from onebyone.contracts.events import Kind, Terms
from onebyone.contracts.signed_links import SigningKey

EncodedRecords = dict[str, bytes | None]
"""Redis key -> encoded record; None: the row no longer exists, so the record must be deleted."""

RECORDS_PER_CHUNK = 500
"""Records of one SQL statement and one Redis command: each id is an SQL parameter, of which SQLite may allow only 999,
and some 200 kB of records keep the cache server busy for no more than a few milliseconds."""


async def load_records(connection: AsyncConnection, redis_keys: Iterable[str]) -> EncodedRecords:
    """Return the records of these Redis keys as the store has them now."""
    records: EncodedRecords = dict.fromkeys(redis_keys)
    tracker_ids: dict[Kind, list[int]] = {"imp": [], "clk": []}
    member_ids = []
    for key in records:
        prefix, _, row_id = key.rpartition(":")
        if key.startswith(keys.MEMBER_PREFIX):
            member_ids.append(int(row_id))
        else:
            tracker_ids["imp" if prefix.endswith("imp") else "clk"].append(int(row_id))
    for kind, ids in tracker_ids.items():
        table = tables.TRACKER_TABLES[kind]
        for start in range(0, len(ids), RECORDS_PER_CHUNK):
            chunk = ids[start : start + RECORDS_PER_CHUNK]
            records |= await _load_tracker_records(connection, kind, table.c.id.in_(chunk))
    for start in range(0, len(member_ids), RECORDS_PER_CHUNK):
        chunk = member_ids[start : start + RECORDS_PER_CHUNK]
        records |= await _load_member_records(connection, tables.member.c.id.in_(chunk))
    return records


async def iterate_all_records(connection: AsyncConnection) -> AsyncIterator[EncodedRecords]:
    """Yield all records of the store, a chunk at a time."""
    member_id: int | None = 0
    while member_id is not None:
        member_id = await _next_member_id(connection, member_id)
        if member_id is not None:
            yield await _load_member_records(connection, tables.member.c.id == member_id)
    for kind, table in tables.TRACKER_TABLES.items():
        last_id = 0
        while chunk := await _load_tracker_records(connection, kind, table.c.id > last_id, RECORDS_PER_CHUNK):
            yield chunk
            last_id = max(int(key.rpartition(":")[2]) for key in chunk)


async def _next_member_id(connection: AsyncConnection, after_id: int) -> int | None:
    table = tables.member
    member_id = await connection.scalar(select(func.min(table.c.id)).where(table.c.id > after_id))
    return None if member_id is None else int(member_id)


async def _load_tracker_records(
    connection: AsyncConnection, kind: Kind, where: ColumnElement[bool], limit: int | None = None
) -> EncodedRecords:
    query = _tracker_query(tables.TRACKER_TABLES[kind], where, limit)
    records: EncodedRecords = {}
    for row in (await connection.execute(query)).mappings():
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
            click_url=None if row["target"] is None else _redirect_location(row["target"]),
            terms=event_terms(row["line_item_doc"], row["rule_doc"]),
        )
        records[keys.tracker_key(kind, row["id"])] = record.encode()
    return records


def _tracker_query(table: Table, where: ColumnElement[bool], limit: int | None) -> Select[Any]:
    """Select trackers by id, joined with the objects that their events refer to and are priced by."""
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
            func.coalesce(_first_active_order(table), 0).label("order_id"),
        )
        .select_from(source)
        .where(where)
        .order_by(table.c.id)
        .limit(limit)
    )


def _first_active_order(table: Table) -> Any:
    """Select the id of the first active insertion order of the tracker's line item."""
    link, order = tables.line_item_insertion_order, tables.insertion_order
    return (
        select(order.c.id)
        .join(link, link.c.insertion_order_id == order.c.id)
        .where(link.c.line_item_id == table.c.line_item_id, order.c.state == "active")
        .order_by(link.c.position)
        .limit(1)
        .scalar_subquery()
    )


def _redirect_location(url: str) -> str | None:
    location = locations.to_location(url.encode())
    return None if location is None else location.decode()


def event_terms(line_item: dict[str, Any], payment_rule: dict[str, Any] | None) -> Terms:
    """Return what an event earns and costs, from the documents of its line item and payment rule."""
    terms = Terms()
    revenue_type, revenue = line_item.get("revenue_type", "cpm"), line_item.get("revenue_value", 0)
    if revenue_type != "none" and revenue:
        terms["pricing_type"] = revenue_type
        terms["revenue_value"] = revenue
    if payment_rule is not None and payment_rule.get("pricing_type", "revshare") == "cpm":
        terms["cost_cpm"] = payment_rule.get("cost_cpm") or 0
    elif payment_rule is not None and payment_rule.get("revshare"):
        terms["revshare"] = payment_rule["revshare"]
    return terms


async def _load_member_records(connection: AsyncConnection, where: ColumnElement[bool]) -> EncodedRecords:
    clicks, key = tables.clicktracker.c, tables.signing_key.c
    records: EncodedRecords = {}
    rows: Sequence[Any] = (await connection.execute(select(tables.member).where(where))).mappings().all()
    for row in rows:
        hosts = select(clicks.click_host).where(clicks.member_id == row["id"], clicks.click_host.is_not(None))
        signing_keys = select(key.kid, key.secret).where(key.member_id == row["id"]).order_by(key.kid)
        record = MemberRecord(
            id=row["id"],
            redirect_policy=row["doc"].get("redirect_policy", "approved"),
            redirect_domains=tuple(row["doc"].get("redirect_domains", ())),
            click_hosts=tuple(await connection.scalars(hosts.distinct().order_by(clicks.click_host))),
            signing_keys=tuple(SigningKey(*row) for row in await connection.execute(signing_keys)),
        )
        records[keys.member_key(row["id"])] = record.encode()
    return records
