"""The version of the configuration store, as the publisher announces it and edges compare it."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.config_store import tables
from onebyone.contracts.configuration import Head


async def read_store_head(connection: AsyncConnection) -> Head:
    """Return the last committed change of the store. Raise `NoResultFound` for a store without its first user."""
    state, outbox = tables.store_state, tables.outbox
    # In one statement: between two, another process may commit.
    committed = func.coalesce(outbox.c.created_ms, 0)
    source = state.outerjoin(outbox, outbox.c.version == state.c.version)
    row = (await connection.execute(select(state.c.store_id, state.c.version, committed).select_from(source))).one()
    return Head(*row)
