"""The baseline of `bench_api.py`: Starlette and SQLAlchemy, with one route that inserts a row and returns it."""

from __future__ import annotations

from sqlalchemy import Column, MetaData, String, Table, insert
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from onebyone.runtime import sql

_thing = Table(
    "thing",
    MetaData(),
    Column("id", sql.Identity, primary_key=True),
    Column("name", String(255), nullable=False),
    Column("state", String(16), nullable=False),
)


async def application(engine: AsyncEngine) -> Starlette:
    """Return the application, with its own table in the same store."""
    async with sql.writing(engine) as connection:
        await connection.run_sync(_thing.metadata.create_all)

    async def create(request: Request) -> JSONResponse:
        fields = await request.json()
        async with sql.writing(engine) as connection:
            inserted = await connection.execute(insert(_thing).values(fields).returning(_thing.c.id))
            row_id = inserted.scalar_one()
        return JSONResponse({"id": row_id, **fields})

    return Starlette(routes=[Route("/thing", create, methods=["POST"])])


async def missing(scope: Scope, receive: Receive, send: Send) -> None:
    """Take the place of the ops endpoints."""
