"""Numbers are shown in the form in which they were sent: whole ones gain no fraction, and no fraction is lost."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any

import orjson
import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from onebyone.contracts.money import to_micros
from onebyone.resources import field_shapes, reader
from onebyone.resources.entities import ENTITIES
from onebyone.resources.fields import MICROS
from tests.support.api_harness import Harness, Json

pytestmark = pytest.mark.anyio
NUMBERS = ("int", "double", "money")
TEXTS = ("0", "1", "2", "50", "105", "149", "1000000", "0.5", "99.95", "105.25", "0.001", "1000000.123456")


def number_fields(model: type[BaseModel], path: str) -> Iterator[tuple[str, Any]]:
    """Yield path and declaration of each number in a body, nested ones included."""
    for name, field in model.model_fields.items():
        shape = field_shapes.field_shape(field)
        if shape.model is not None:
            yield from number_fields(shape.model, f"{path}.{name}")
        elif shape.word in NUMBERS:
            yield f"{path}.{name}", field


FIELDS = [
    (path, field)
    for entity in ENTITIES
    for path, field in number_fields(entity.body, entity.service)
    if not path.endswith("labels.id")
]
"""All but the ids of labels, of which there are few."""


@pytest.mark.parametrize(("path", "field"), FIELDS, ids=[path for path, _ in FIELDS])
def test_every_number_keeps_its_form(path: str, field: Any) -> None:
    declared: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    adapter: TypeAdapter[Any] = TypeAdapter(declared)
    whole = field_shapes.field_shape(field).word == "int"
    kept = 0
    for text in TEXTS:
        for sent in (orjson.loads(text), text):
            try:
                value = adapter.validate_python(sent)
            except ValidationError:
                continue
            if MICROS in field.metadata:
                value = reader._number(to_micros(value))
            assert not isinstance(value, Decimal), path
            assert orjson.dumps(value) == text.encode(), path
            kept += 1
    assert kept >= 2
    assert whole or path.endswith(("pct", "share", "revshare")) or kept > 10, path


async def shown(api: Harness, service: str, row_id: int) -> bytes:
    """Return the answer as it is on the wire."""
    return (await api.send("GET", f"/{service}?id={row_id}")).content


@pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)
async def test_numbers_of_intervals_and_parts(api: Harness) -> None:
    advertiser = await api.create("advertiser", {"name": "A", "use_insertion_orders": True, "timezone": "UTC"})
    interval = {"start_date": "2026-01-01 00:00:00", "lifetime_budget": 105, "daily_budget": 0.5}
    paced = {**interval, "lifetime_pacing": True, "lifetime_pacing_pct": 105}
    owner = {"advertiser_id": advertiser["id"]}
    for service in ("insertion-order", "line-item"):
        made = await api.create(service, {"name": "N", "budget_intervals": [paced]}, **owner)
        text = await shown(api, service, made["id"])
        assert b'"lifetime_budget":105,' in text
        assert b'"daily_budget":0.5,' in text
        assert b'"lifetime_pacing_pct":105' in text
        assert b".0" not in text.partition(b'"dbg_info"')[0]
    fees: Json = {"broker_fees": [{"broker_id": 1, "payment_type": "cpm", "value": 2}]}
    order = await api.create("insertion-order", {"name": "N", **fees}, **owner)
    assert b'"value":2,' in await shown(api, "insertion-order", order["id"])
    await api.put("advertiser", advertiser["id"], {"lifetime_budget": "105", "daily_budget": 105.0})
    text = await shown(api, "advertiser", advertiser["id"])
    assert b'"lifetime_budget":105,' in text
    assert b'"daily_budget":105,' in text
