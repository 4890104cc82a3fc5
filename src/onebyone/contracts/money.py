"""Exact money: integers in stores, decimal text at the interfaces.

Callers give micros (1e-6 of a currency unit); the cost of one event is in nanos (1e-9), because at a CPM of one micro
an impression costs a thousandth of a micro.
"""

from __future__ import annotations

import re
from decimal import Decimal

MICROS = 1_000_000
NANOS = 1_000_000_000
"""Parts of one currency unit."""
ANCOST_MAX_MICROS = 999_999_999_999
"""999999.999999, the documented maximum (click-tracker-service, "Query String Parameters")."""

_ANCOST = re.compile(rb"([0-9]{1,6})(?:\.([0-9]{0,6}))?|\.([0-9]{1,6})")


def parse_ancost(text: bytes) -> int | None:
    """Return the micros of a decimal from 0 to 999999.999999 with at most six places; None for anything else."""
    match = _ANCOST.fullmatch(text)
    if match is None:
        return None
    whole, places, bare = match.groups()
    fraction = bare if bare is not None else places or b""
    return int(whole or b"0") * MICROS + int(fraction.ljust(6, b"0") or b"0")


def to_micros(value: Decimal) -> int:
    """Return the micros of a currency amount, rounded half to even at the sixth place."""
    return int((value * MICROS).to_integral_value())


def format_nanos(nanos: int) -> str:
    """Return a currency amount with at most six places, no exponent and no trailing zeros beyond two: `0.25`."""
    micros = (Decimal(nanos) / 1000).to_integral_value()
    text = f"{micros / MICROS:.6f}".rstrip("0")
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.ljust(2, '0')}"
