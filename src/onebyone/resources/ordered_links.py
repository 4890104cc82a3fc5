"""Ordered links between objects, in a table of their own: `insertion_orders` of a line item and the like."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Table, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.resources.unit_of_work import UnitOfWork


class OrderedLinks:
    """The links in one table, from the owner's column to the target's."""

    def __init__(self, table: Table, owner: str, target: str) -> None:
        self.table = table
        self.owner = table.c[owner]
        self.target = table.c[target]

    async def replace(self, work: UnitOfWork, owner_id: int, targets: Sequence[int]) -> None:
        """Link the owner to these targets alone, in this order; a repeated target counts once."""
        await work.delete(self.table, self.owner == owner_id)
        rows = [
            {"member_id": work.member_id, self.owner.name: owner_id, self.target.name: target, "position": position}
            for position, target in enumerate(dict.fromkeys(targets))
        ]
        if rows:
            await work.connection.execute(insert(self.table), rows)

    async def targets_of(self, connection: AsyncConnection, owners: Sequence[int]) -> dict[int, list[int]]:
        """Return the targets, in order, of each owner that has any."""
        targets: dict[int, list[int]] = {}
        query = select(self.owner, self.target).where(self.owner.in_(owners))
        for owner, target in await connection.execute(query.order_by(self.owner, self.table.c.position)):
            targets.setdefault(owner, []).append(target)
        return targets

    async def owners_of(self, connection: AsyncConnection, targets: Sequence[int]) -> dict[int, list[int]]:
        """Return the owners, by id, that link to each of these targets."""
        owners: dict[int, list[int]] = {}
        query = select(self.target, self.owner).where(self.target.in_(targets))
        for target, owner in await connection.execute(query.order_by(self.target, self.owner)):
            owners.setdefault(target, []).append(owner)
        return owners
