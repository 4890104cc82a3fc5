"""Time zones for tests: those that objects may have, and what tzdata's files say of every zone."""

from __future__ import annotations

import re
import struct
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from pathlib import Path
from zoneinfo import TZPATH

from onebyone import time_zones

_HEADER = struct.Struct(">4s1s15x6l")
_FOOTER = re.compile(r"(?:<[^>]+>|[A-Za-z]+)([+-]?[0-9:]+)(?:(?:<[^>]+>|[A-Za-z]+)([+-]?[0-9:]+)?)?")


@cache
def allowed_time_zones() -> frozenset[str]:
    """Return the names of the zones that objects, users and reports may have."""
    return frozenset(filter(_is_allowed, time_zones.time_zone_names()))


def _is_allowed(name: str) -> bool:
    try:
        time_zones.require_time_zone(name)
    except ValueError:
        return False
    return True


def offsets_in_tzdata(name: str, first: datetime, last: datetime) -> set[int]:
    """Return each offset from UTC, in seconds, that the file of a zone has between two moments (RFC 9636)."""
    data = _load(name)
    size = _HEADER.size
    _, _, utc, std, leap, times, types, chars = _HEADER.unpack_from(data)
    # Version 1 has times of 32 bits; skip it.
    start = size + times * 5 + types * 6 + chars + leap * 8 + std + utc
    _, _, utc, std, leap, times, types, chars = _HEADER.unpack_from(data, start)
    at = start + size
    moments = struct.unpack_from(f">{times}q", data, at)
    kinds = struct.unpack_from(f">{times}B", data, at + times * 8)
    table = [struct.unpack_from(">lBB", data, at + times * 9 + index * 6)[0] for index in range(types)]
    before = [kind for moment, kind in zip(moments, kinds, strict=True) if moment <= first.timestamp()]
    within = [
        kind for moment, kind in zip(moments, kinds, strict=True) if first.timestamp() < moment <= last.timestamp()
    ]
    offsets = {table[kind] for kind in [*(before[-1:] or [0]), *within]}
    footer = data[at + times * 9 + types * 6 + chars + leap * 12 + std + utc :].decode("ascii").strip("\n")
    if not footer or (moments and moments[-1] > last.timestamp()):
        return offsets
    standard, daylight = _FOOTER.match(footer.split(",")[0]).groups()  # type: ignore[union-attr]
    offsets.add(-_seconds(standard))
    if "," in footer:
        offsets.add(-_seconds(daylight) if daylight else -_seconds(standard) + 3600)
    return offsets


def _seconds(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    hours, minutes, seconds = ([*map(int, text.lstrip("+-").split(":")), 0, 0])[:3]
    return sign * int(timedelta(hours=hours, minutes=minutes, seconds=seconds).total_seconds())


def _load(name: str) -> bytes:
    for folder in TZPATH:
        path = Path(folder, name)
        if path.is_file():
            return path.read_bytes()
    return resources.files("tzdata.zoneinfo").joinpath(name).read_bytes()
