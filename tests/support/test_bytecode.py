"""The counter of bytecode counts the package, and nothing but the package."""

from __future__ import annotations

import pytest

from onebyone.contracts import money
from tests.support.bytecode import BytecodeCounter


def test_each_call_of_the_package_costs_the_same() -> None:
    counts = []
    for calls in (1, 3):
        with BytecodeCounter() as counter:
            for _ in range(calls):
                money.parse_ancost(b"1.5")
        counts.append((counter.instructions, counter.calls))
    (instructions, calls), more = counts
    assert more == (3 * instructions, 3 * calls)


def test_a_block_that_executes_nothing_of_the_package_fails() -> None:
    with pytest.raises(AssertionError, match=r"nothing of .*/onebyone/ was executed"), BytecodeCounter():
        sum(range(10))
