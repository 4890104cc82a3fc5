"""Neither side of a connection to PostgreSQL waits forever for the other."""

from __future__ import annotations

import socket

import pytest
from sqlalchemy import text

from onebyone.runtime import postgres, sql


@pytest.mark.anyio
async def test_both_sides_detect_a_dead_connection(postgres_url: str) -> None:
    engine = sql.create_engine(postgres_url)
    try:
        async with sql.reading(engine) as connection:
            told = {name: (await connection.execute(text(f"SHOW {name}"))).scalar_one() for name in postgres.SESSION}
            raw = await connection.get_raw_connection()
            own = raw.driver_connection._transport.get_extra_info("socket")  # type: ignore[union-attr]
            watched = [
                own.getsockopt(socket.IPPROTO_TCP, option) for option in (socket.TCP_KEEPIDLE, socket.TCP_USER_TIMEOUT)
            ]
    finally:
        await engine.dispose()
    assert told == postgres.SESSION
    assert watched == [postgres.IDLE_SECONDS, postgres.SILENCE_SECONDS * 1000]
