"""Exact money."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onebyone.contracts import money


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        (b"0", 0),
        (b"0.25", 250_000),
        (b".5", 500_000),
        (b"1.", 1_000_000),
        (b"000001", 1_000_000),
        (b"999999.999999", money.ANCOST_MAX_MICROS),
        (b"1000000", None),
        (b"0.0000001", None),
        (b"-1", None),
        (b"+1", None),
        (b"1e3", None),
        (b"NaN", None),
        (b"inf", None),
        (b"1,5", None),
        (b".", None),
        (b"", None),
        (b" 1", None),
        ("١".encode(), None),
    ],
)
def test_parse_ancost(text: bytes, micros: int | None) -> None:
    assert money.parse_ancost(text) == micros


@given(st.integers(0, money.ANCOST_MAX_MICROS))
def test_every_amount_survives(micros: int) -> None:
    text = f"{Decimal(micros) / money.MICROS:f}"
    assert money.parse_ancost(text.encode()) == micros
    assert money.to_micros(Decimal(text)) == micros
    assert Decimal(money.format_nanos(micros * 1000)) == Decimal(micros) / money.MICROS


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "0.00"),
        (250_000_000, "0.25"),
        (1_500, "0.000002"),
        (500, "0.00"),
        (10**18, "1000000000.00"),
        (1000, "0.000001"),
    ],
)
def test_format_nanos(nanos: int, text: str) -> None:
    assert money.format_nanos(nanos) == text
