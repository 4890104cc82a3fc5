"""Fixtures of the fast path's tests; `edge` is an edge in the test's own process here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.edge.fastpath.in_process_edge import InProcessEdge


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Run asynchronous tests on the product's event loop."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
async def start_edge() -> AsyncIterator[Any]:
    """A function that starts an edge with the given settings; all of them are stopped after the test."""
    with contextlib.ExitStack() as stack:

        def start(**settings: Any) -> InProcessEdge:
            edge = InProcessEdge(**settings)
            stack.callback(edge.listener.close)
            stack.callback(edge.shut_down)
            stack.callback(edge.close_browsers)
            return edge

        yield start
        await asyncio.sleep(0.01)


@pytest.fixture
async def edge(start_edge: Any) -> InProcessEdge:
    """An edge with the usual settings."""
    started: InProcessEdge = start_edge()
    return started
