"""Labels: what objects of a type may be labelled with (label-service)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Label:
    """One row of GET /label."""

    id: int
    name: str
    object_type: str
    report_field: str
    is_user_associated: bool = True


LABELS = (
    Label(1, "Salesperson", "advertiser", "salesperson_for_advertiser"),
    Label(2, "Salesperson", "publisher", "salesperson_for_publisher"),
    Label(3, "Account Manager", "advertiser", "account_manager_for_advertiser"),
    Label(4, "Account Manager", "publisher", "account_manager_for_publisher"),
    Label(7, "Trafficker", "line_item", "trafficker_for_line_item"),
    Label(8, "Sales Rep", "line_item", "salesrep_for_line_item"),
    Label(11, "Campaign Type", "line_item", "line_item_type", is_user_associated=False),
    Label(12, "Advertiser Type", "advertiser", "advertiser_type", is_user_associated=False),
)
_BY_ID = {label.id: label for label in LABELS}


def allowed(object_type: str) -> Callable[[int], int]:
    """A validator of label ids for one type of object."""
    known = {label.id: label.name for label in LABELS if label.object_type == object_type}
    text = ", ".join(f"{number} ({name})" for number, name in known.items())

    def check(value: int) -> int:
        if value not in known:
            raise ValueError(f"must be one of {text}")
        return value

    return check


def named(labels: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """Stored labels with their read-only names."""
    return labels and [{**label, "name": _BY_ID[label["id"]].name} for label in labels]
