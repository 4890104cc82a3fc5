"""A short kill storm in every run of the tests; `make storm` is the long one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults import kill_storm
from tests.support.product import start_product


@pytest.mark.processes
def test_report_equals_the_recorded_answers_after_a_kill_storm(tmp_path: Path) -> None:
    product = start_product(tmp_path / "data", workers=2)
    try:
        account = kill_storm.run(product, impressions=3000, clicks=600, kills=2, seed=random.randrange(10**6))
    finally:
        product.stop()
    print("\n".join(account.lines()))
    account.check()
    assert min(account.killed.values()) == 2
