"""Labels that objects of each type may have (label-service)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from onebyone.resources.fields import Body, Integer, Text100


@dataclass(frozen=True, slots=True)
class Label:
    """A label for one type of object."""

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
    Label(5, "Region", "advertiser", "region_for_advertiser", is_user_associated=False),
    Label(7, "Trafficker", "line_item", "trafficker_for_line_item"),
    Label(8, "Sales Rep", "line_item", "salesrep_for_line_item"),
    Label(9, "Test/Control", "campaign", "user_group_for_campaign"),
    Label(11, "Campaign Type", "line_item", "line_item_type", is_user_associated=False),
    Label(12, "Advertiser Type", "advertiser", "advertiser_type", is_user_associated=False),
    Label(14, "Trafficker", "insertion_order", "trafficker_for_insertion_order"),
    Label(15, "Sales Rep", "insertion_order", "salesrep_for_insertion_order"),
    Label(16, "Campaign Type", "insertion_order", "insertion_order_type", is_user_associated=False),
)
_BY_ID = {label.id: label for label in LABELS}


class Labelled(Body):
    """An element of `labels`, whose name the server adds. Each type of object has its own label ids."""

    shown = ("name",)
    id: Integer
    value: Text100


def label_id_validator(object_type: str) -> Callable[[int], int]:
    """Return a validator of label ids for one type of object."""
    known = {label.id: label.name for label in LABELS if label.object_type == object_type}
    text = ", ".join(f"{number} ({name})" for number, name in known.items())

    def check(value: int) -> int:
        if value not in known:
            raise ValueError(f"must be one of {text}")
        return value

    return check


def with_label_names(labels: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """Return stored labels with their read-only names."""
    return labels and [{**label, "name": _BY_ID[label["id"]].name} for label in labels]
