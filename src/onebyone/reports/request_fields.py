"""Reads the fields of a report request one by one and collects the faults of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from onebyone.errors import Fault

LIST_LENGTH = 100
"""Elements of a list: twice the columns of the largest report type."""


class RequestFields:
    """The fields as they were sent; a null counts as absent. `faults` grows while they are read."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = {name: value for name, value in fields.items() if value is not None}
        self.faults: list[Fault] = []

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field as it was sent."""
        return self._fields.get(name, default)

    def add_fault(self, path: str, text: str) -> None:
        """Add a fault of the field at `path`."""
        self.faults.append(Fault(path, text))

    def read_choice(self, name: str, allowed: Sequence[str], default: str | None) -> str:
        """Return one of the allowed values; "" after a fault. Without a default the field is required."""
        value = self._fields.get(name, default)
        if value is None:
            self.add_fault(name, "required")
        elif value not in allowed:
            self.add_fault(name, f"must be one of {', '.join(allowed)}")
        else:
            return str(value)
        return ""

    def read_boolean(self, name: str) -> bool:
        """Return a flag; absent is false."""
        value = self._fields.get(name, False)
        if value not in (True, False, "true", "false", 0, 1):
            self.add_fault(name, "must be true or false")
        return value in (True, "true")

    def read_count(self, name: str, least: int, default: int | None) -> int | None:
        """Return an integer of at least `least`."""
        if name not in self._fields:
            return default
        value = parse_integer(self._fields[name])
        if value is None or value < least:
            self.add_fault(name, f"must be an integer of at least {least}")
        return value

    def read_list(self, name: str) -> list[Any]:
        """Return a list of at most `LIST_LENGTH` elements; an absent or faulty one is empty."""
        value = self._fields.get(name, [])
        if isinstance(value, list) and len(value) <= LIST_LENGTH:
            return value
        self.add_fault(name, f"must be a list of at most {LIST_LENGTH}")
        return []

    def read_entries(self, name: str) -> list[tuple[str, str, Any]]:
        """Return (path, key, value) of each entry of each object in a list of objects."""
        entries = []
        for index, element in enumerate(self.read_list(name)):
            if not isinstance(element, dict):
                self.add_fault(f"{name}[{index}]", "must be an object")
                continue
            entries += [(f"{name}[{index}].{key[:40]}", key, value) for key, value in element.items()]
        return entries


def parse_integer(value: Any) -> int | None:
    """Return an integer or a text of decimal digits as an integer of 0 to 2**63 - 1; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 19:
        value = int(value)
    return value if type(value) is int and 0 <= value < 2**63 else None


def parse_decimal(value: Any) -> Decimal | None:
    """Return a number or the text of one, of less than 40 digits; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 40:
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < 40 else None
