"""Turns a body into the columns of a row, finding every fault of it at once."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError, create_model
from sqlalchemy import CompoundSelect, bindparam, literal_column, select, union_all

from onebyone.contracts.money import to_micros
from onebyone.errors import Fault, NotFound, Refused
from onebyone.resources import unknown_fields
from onebyone.resources.entity import Entity, Reference, Values
from onebyone.resources.fields import ObjectId, OptionalLink
from onebyone.resources.unit_of_work import UnitOfWork

_link: TypeAdapter[Any] = TypeAdapter(OptionalLink)
_id: TypeAdapter[Any] = TypeAdapter(ObjectId)


def unwrap(entity: Entity, body: Any) -> Values:
    """The object inside `{"<service>": {...}}`; what is no field of it is named in the warnings."""
    if not isinstance(body, dict) or not isinstance(body.get(entity.service), dict):
        raise Refused(Fault(entity.service, "the body must be an object with this key and an object in it"))
    unknown_fields.warn_of(entity, body)
    given: Values = body[entity.service]
    return {name: value for name, value in given.items() if name in entity.body.model_fields}


def stored_values(entity: Entity, row: Values) -> Values:
    """The fields of a row in the shape of a body, for a partial change."""
    links = {link.field: link for link in entity.references if link.nested}
    found: Values = {}
    for name in entity.body.model_fields:
        if name in links:
            target = row[links[name].column]
            found[name] = None if target is None else {"id": target}
        elif name in entity.table.c:
            found[name] = row[name]
        elif name in row["doc"]:
            value = row["doc"][name]
            found[name] = Decimal(value).scaleb(-6) if name in entity.millionths and value is not None else value
    return found


async def validate(
    entity: Entity, work: UnitOfWork, given: Values, owners: Values, stored: Values | None
) -> Values | None:
    """The valid fields, or None; adds every fault to the work, those of references included."""
    faulty: set[str] = set()
    try:
        values = entity.body.model_validate(given).model_dump()
    except ValidationError as error:
        values = None
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            path = ".".join(str(part) for part in fault["loc"]) or entity.service
            work.faults.append(Fault(path, fault["msg"].removeprefix("Value error, ")))
            faulty.add(path.split(".")[0])
    targets = {**owners, **{link.column: _target(link, given) for link in entity.references}}
    await _check_references(entity, work, targets)
    if values is not None:
        await entity.check(work, values, stored, owners)
    elif not faulty & entity.discriminators:
        await _check_the_rest(entity, work, given, owners, stored, faulty)
    return values


async def _check_the_rest(
    entity: Entity, work: UnitOfWork, given: Values, owners: Values, stored: Values | None, faulty: set[str]
) -> None:
    """Adds faults of rules between the valid fields, so that they need no second try."""
    sound = {name: value for name, value in given.items() if name not in faulty}
    values = _lenient(entity).model_validate(sound).model_dump()
    before, work.faults, work.refused = work.faults, [], True
    await entity.check(work, values, stored, owners)
    work.faults = before + [fault for fault in work.faults if fault.path.split(".")[0] not in faulty]


@cache
def _lenient(entity: Entity) -> type[BaseModel]:
    """The body of an entity without required fields."""
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
    """Adds a fault for each target that is not the member's, or not of the owner that it must be of."""
    wanted = {link: target for link in entity.references if (target := targets[link.column]) is not None}
    if not wanted:
        return
    values = {link.column: target for link, target in wanted.items()}
    rows = await work.connection.execute(_targets(tuple(wanted)), {"member": work.member_id, **values})
    owners = {row[0]: row[1] for row in rows}
    for link, target in wanted.items():
        if link.column not in owners:
            work.faults.append(Fault(link.path, str(NotFound(link.service, target))))
        elif link.owner is not None and targets.get(link.owner) not in (None, owners[link.column]):
            owner = link.owner.removesuffix("_id").replace("_", "-")
            work.fault(link.path, f"{link.service} {target} does not belong to {owner} {targets[link.owner]}")


@cache
def _targets(links: tuple[Reference, ...]) -> CompoundSelect[Any]:
    """Column and owner of each reference whose target there is: one statement, whatever their number."""
    return union_all(
        *(
            select(literal_column(f"'{link.column}'"), link.target.c[link.owner or "id"]).where(
                link.target.c.member_id == bindparam("member"), link.target.c.id == bindparam(link.column)
            )
            for link in links
        )
    )


def columns(entity: Entity, values: Values, doc: Values) -> Values:
    """The columns of a row with these fields; `doc` is what the row's document held before."""
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
    """Adds a fault when another object of the same owner has this code, whatever its case."""
    if entity.code_owner is None or row.get("code_key") is None:
        return
    table = entity.table
    found = select(table.c.id).where(
        table.c.member_id == work.member_id,
        table.c[entity.code_owner] == row[entity.code_owner],
        table.c.code_key == row["code_key"],
        table.c.id != (row_id or 0),
    )
    taken = await work.connection.scalar(found)
    if taken is not None:
        work.fault("code", f"already used by {entity.service} {taken}")
