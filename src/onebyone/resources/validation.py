"""Turns the fields that a caller sent into the columns of a row, and finds all their faults in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError, create_model
from sqlalchemy import CompoundSelect, bindparam, literal_column, select, union_all

from onebyone import time_zones
from onebyone.contracts.money import to_micros
from onebyone.errors import NotFound
from onebyone.resources import field_shapes, fields, unknown_fields
from onebyone.resources.entity import Carried, Entity, Reference, Values
from onebyone.resources.fields import ObjectId, OptionalLink
from onebyone.resources.unit_of_work import UnitOfWork

_link: TypeAdapter[Any] = TypeAdapter(OptionalLink)
_id: TypeAdapter[Any] = TypeAdapter(ObjectId)


def known_fields(
    entity: Entity, work: UnitOfWork, values: Mapping[str, Any], beside: Sequence[str], stored: Values | None
) -> Values:
    """Return the fields that callers write; add a warning for each other one that a caller may believe to write.

    An object may come in an array: the documents show some, such as `supply_strategies`, both ways.
    """
    unknown_fields.warn_of_unknown_fields(entity, values, beside, work.warnings)
    unknown_fields.warn_of_unwritable_fields(entity, values, entity.unwritable(work, stored), work.warnings)
    objects = _object_fields(entity)
    return {
        name: fields.single(value) if name in objects else value
        for name, value in values.items()
        if name in entity.body.model_fields
    }


@cache
def _object_fields(entity: Entity) -> frozenset[str]:
    shapes = {name: field_shapes.field_shape(field) for name, field in entity.body.model_fields.items()}
    return frozenset(name for name, shape in shapes.items() if shape.word == "object")


def stored_values(entity: Entity, row: Values) -> Values:
    """Return the fields of a row as callers write them, for a partial update."""
    links = {link.field: link for link in entity.references if link.nested}
    fields: Values = {}
    for name in entity.body.model_fields:
        if name in links:
            target = row[links[name].column]
            fields[name] = None if target is None else {"id": target}
        elif name in entity.table.c:
            fields[name] = row[name]
        elif name in row["doc"]:
            value = row["doc"][name]
            fields[name] = Decimal(value).scaleb(-6) if name in entity.millionths and value is not None else value
    return fields


async def validate(
    entity: Entity, work: UnitOfWork, given: Values, owners: Values, stored: Values | None
) -> tuple[Values | None, Carried]:
    """Return the valid fields, or None, and what the rules carry on; add every fault, those of references included."""
    invalid: set[str] = set()
    stored_zone = None if stored is None else stored["doc"].get("timezone")
    clock = fields.WallClock(_own_zone(entity, given, stored_zone), stored_zone)
    try:
        try:
            values = entity.body.model_validate(given, context=clock).model_dump()
        except ValidationError:
            if not clock.asked:
                raise
            clock = fields.WallClock(await _owner_zone(entity, work, owners), stored_zone)
            values = entity.body.model_validate(given, context=clock).model_dump()
    except ValidationError as error:
        values = None
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            path = ".".join(str(part) for part in fault["loc"]) or entity.service
            work.invalid(path, fault["msg"].removeprefix("Value error, "))
            invalid.add(path.split(".")[0])
    targets = {**owners, **{link.column: _target(link, given) for link in entity.references}}
    await _check_references(entity, work, targets)
    if values is not None:
        return values, await entity.check(work, values, stored, owners) or {}
    if not invalid & entity.discriminators:
        valid = {name: value for name, value in given.items() if name not in invalid}
        await _check_valid_fields(
            entity, work, _lenient(entity).model_validate(valid, context=clock), owners, stored, invalid
        )
    return None, {}


def _own_zone(entity: Entity, given: Values, stored_zone: str | None) -> str | None:
    """Return the time zone that an object names, or has by default; None if that is its owner's or unknown."""
    zone = given.get("timezone", entity.default("timezone"))
    try:
        return zone if zone == stored_zone else time_zones.require_time_zone(zone)
    except ValueError:
        return None


async def _owner_zone(entity: Entity, work: UnitOfWork, owners: Values) -> str | None:
    """Return the time zone of an object that names none: its owner's."""
    if entity.parent is None or entity.parent.column not in owners:
        return None
    owner = await work.find_row(entity.parent.target, owners[entity.parent.column])
    return None if owner is None else owner["doc"].get("timezone")


async def _check_valid_fields(
    entity: Entity, work: UnitOfWork, valid: BaseModel, owners: Values, stored: Values | None, invalid: set[str]
) -> None:
    """Add the faults of rules between the valid fields, so that callers learn of them without another attempt."""
    with work.dry_run() as faults:
        await entity.check(work, valid.model_dump(), stored, owners)
    work.faults += [fault for fault in faults if fault.path.split(".")[0] not in invalid]


@cache
def _lenient(entity: Entity) -> type[BaseModel]:
    """Return the body of an entity without required fields."""
    required = [name for name, field in entity.body.model_fields.items() if field.is_required()]
    optional: Any = dict.fromkeys(required, (Any, None))
    return create_model(entity.body.__name__, __base__=entity.body, **optional)


def _target(link: Reference, given: Values) -> int | None:
    try:
        value = given.get(link.field)
        if not link.nested:
            return None if value is None else int(_id.validate_python(value))
        linked = _link.validate_python(value)
        return None if linked is None else int(linked.id)
    except ValidationError:
        return None


async def _check_references(entity: Entity, work: UnitOfWork, targets: dict[str, int | None]) -> None:
    """Add a fault for each target that is not the member's, or not of the owner that it must belong to."""
    wanted = {link: target for link in entity.references if (target := targets[link.column]) is not None}
    if not wanted:
        return
    values = {link.column: target for link, target in wanted.items()}
    rows = await work.connection.execute(_targets_query(tuple(wanted)), {"member": work.member_id, **values})
    owners = {row[0]: row[1] for row in rows}
    for link, target in wanted.items():
        if link.column not in owners:
            work.invalid(link.path, str(NotFound(link.service, target)))
        elif link.owner is not None and targets.get(link.owner) not in (None, owners[link.column]):
            owner = link.owner.removesuffix("_id").replace("_", "-")
            work.conflict(link.path, f"{link.service} {target} does not belong to {owner} {targets[link.owner]}")


@cache
def _targets_query(links: tuple[Reference, ...]) -> CompoundSelect[Any]:
    """Return the query of column and owner of each reference whose target exists: one statement for all of them."""
    return union_all(
        *(
            select(literal_column(f"'{link.column}'"), link.target.c[link.owner or "id"]).where(
                link.target.c.member_id == bindparam("member"), link.target.c.id == bindparam(link.column)
            )
            for link in links
        )
    )


def row_columns(entity: Entity, values: Values, doc: Values) -> Values:
    """Return the columns of a row with these fields; `doc` is the row's document before."""
    links = {link.field: link for link in entity.references if link.nested}
    row: Values = {}
    rest: Values = dict(doc)
    for name, value in values.items():
        if name in links:
            row[links[name].column] = None if value is None else value["id"]
        elif name in entity.table.c:
            row[name] = value
        else:
            rest[name] = to_micros(value) if name in entity.millionths and value is not None else value
    if "code_key" in entity.table.c:
        row["code_key"] = None if values["code"] is None else values["code"].casefold()
    return {**row, **entity.columns(values), "doc": rest}


async def check_code(entity: Entity, work: UnitOfWork, row: Values, row_id: int | None) -> None:
    """Add a fault when another object of the same owner has this code, in any case."""
    if entity.code_owner is None or row.get("code_key") is None:
        return
    table = entity.table
    query = select(table.c.id).where(
        table.c.member_id == work.member_id,
        table.c[entity.code_owner] == row[entity.code_owner],
        table.c.code_key == row["code_key"],
        table.c.id != (row_id or 0),
    )
    taken = await work.connection.scalar(query)
    if taken is not None:
        work.conflict("code", f"already used by {entity.service} {taken}")
