"""What one warm impression costs, in bytecode instructions and calls: a measure that no clock disturbs."""

from __future__ import annotations

import sys

import pytest

from onebyone.edge.fastpath import acceptor
from tests.edge.fastpath.in_process_edge import InProcessEdge
from tests.edge.requests import impression
from tests.support.bytecode import BytecodeCounter

pytestmark = pytest.mark.anyio

MANY = 64
"""Requests in the measured batch: about as many as a busy edge reads in one poll."""
BUDGETS = {
    (3, 11): {"keep-alive": (186, 0.44), "close": (338, 3.55)},
    (3, 12): {"keep-alive": (173, 0.44), "close": (313, 3.55)},
    (3, 13): {"keep-alive": (180, 0.44), "close": (318, 3.55)},
}
"""By Python version: the bytecode instructions and the calls of our own functions that a warm impression may take.

`keep-alive` stays on its connection and counts from its read to its write; `close` brings its connection, is its only
request, and counts from accepting to closing. Measured on CPython 3.11: 179 and 0.42, 333 and 3.48; on 3.12: 166 and
0.42, 307 and 3.48; on 3.13: 173 and 0.42, 311 and 3.48.
"""


@pytest.mark.skipif(sys.version_info[:2] not in BUDGETS, reason="no budget is stated for this version of Python")
@pytest.mark.parametrize("connection", ["keep-alive", "close"])
async def test_warm_impression_stays_within_its_budget(
    edge: InProcessEdge, monkeypatch: pytest.MonkeyPatch, connection: str
) -> None:
    instructions, calls = BUDGETS[sys.version_info[:2]][connection]
    monkeypatch.setattr(acceptor, "MAX_ACCEPTS", MANY)
    edge.commits.quick = True
    costs = []
    clients = [edge.connect() for _ in range(MANY)]
    for number in range(6):
        for client in clients:
            client.send(impression(number).replace(b"keep-alive", connection.encode()))
        with BytecodeCounter() as counter:
            await edge.poll()
            assert len(edge.commits.events) == MANY
        assert all(client.read().endswith(b"\x3b") for client in clients)
        edge.commits.events.clear()
        if connection == "close":
            assert all(client.closed() for client in clients)
            clients = [edge.connect() for _ in range(MANY)]
        costs.append((counter.instructions / MANY, counter.calls / MANY))
    # The least, because the garbage collector may have called finalizers of earlier tests.
    executed, called = min(costs)
    print(f"{executed} bytecode instructions, {called} calls")
    assert executed <= instructions
    assert called <= calls
