"""Types of documented fields: lenient with what callers send ("123" for an int), exact in what is stored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from iso4217 import Currency as _Iso4217
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
)

from onebyone import time_zones
from onebyone.reports.date_texts import parse_date

MAX_ID = 2**63 - 1
"""The greatest integer of both stores."""
MICROS = "stored as integer millionths"
"""Metadata of a decimal field: the store keeps millionths, callers see a number."""

DATE = "a moment, as text"
"""Metadata of a text field that holds `YYYY-MM-DD HH:MM:SS`."""

DAY_PATTERN = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
CLOCK_PATTERN = "([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?"
TIMESTAMP: dict[str, Any] = {"pattern": f"^{DAY_PATTERN} ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"}
"""JSON Schema of a moment as it is kept."""
TIME_ZONE: dict[str, Any] = {
    "description": "A name of the IANA time zone database. Zones that are not whole hours away from UTC are refused.",
    "examples": ["America/New_York"],
}
"""JSON Schema of a time zone.

It has no enumeration: the database grows, and an older client would not read an answer that names a new zone.
"""

CURRENCY_CODES = tuple(sorted(str(currency.code) for currency in _Iso4217))
_ID = re.compile(r"[0-9]{1,19}", re.ASCII)
_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,19}(\.[0-9]{1,30})?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MULTILINE_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def _integer(value: Any) -> Any:
    if isinstance(value, bool) or (isinstance(value, str) and not _INTEGER.fullmatch(value)):
        raise ValueError("not an integer")
    return value


def _number(value: Any) -> Any:
    if isinstance(value, bool) or (isinstance(value, str) and not _NUMBER.fullmatch(value)):
        raise ValueError("not a number")
    return value


def _millionths(value: Decimal | None) -> Decimal | None:
    return None if value is None else value.quantize(Decimal("0.000001"))


def whole_or_fraction(value: float) -> int | float:
    """Return a whole number as an integer, so that it is shown as callers write it: `105`, not `105.0`."""
    return int(value) if value.is_integer() else value


def _plain(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("control characters are not allowed")
    return value


def _multiline(value: str) -> str:
    if _MULTILINE_CONTROL.search(value):
        raise ValueError("control characters are not allowed")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    return value


def empty_is_none(value: Any) -> Any:
    """Return None for an empty text, which clients send to clear a field."""
    return None if value == "" else value


def parse_id(text: str) -> int | None:
    """Return the id that a text of decimal digits names; None for anything else, and beyond `MAX_ID`."""
    number = int(text) if _ID.fullmatch(text) else None
    return None if number is None or number > MAX_ID else number


def single(value: Any) -> Any:
    """Return the only element of an array, None of an empty one, and anything else as it is."""
    if isinstance(value, list) and len(value) < 2:
        return value[0] if value else None
    return value


def loose_timestamp(value: str, zone: str | None = None) -> str:
    """Return `YYYY-MM-DD HH:MM:SS` of a date with or without a time, seconds or a T.

    A date that names a time zone of its own is converted to `zone`. Raise `ValueError` if that is None or shows the
    same time twice then, and for anything else.
    """
    moment = parse_date(value)
    if moment.tzinfo is not None:
        if zone is None:
            raise ValueError("must have no time zone of its own here")
        try:
            local = moment.astimezone(ZoneInfo(zone))
        except OverflowError:
            raise ValueError(f"is not within the years 1 to 9999 in the time zone {zone}") from None
        if local.replace(fold=0).astimezone(UTC) != moment.astimezone(UTC):
            raise ValueError(f"is ambiguous in the time zone {zone}, where clocks are set back")
        moment = local
    return f"{moment.replace(tzinfo=None):%Y-%m-%d %H:%M:%S}".zfill(19)


@dataclass(slots=True)
class WallClock:
    """What the dates of an object are relative to: the context in which its fields are validated."""

    zone: str | None
    """Time zone of the object; None if it is not known yet."""
    stored_zone: str | None = None
    """Time zone that the object has in the store; None for a new one."""
    asked: bool = False
    """Whether a date named a time zone of its own while `zone` was not known."""


def _timestamp(value: str, info: ValidationInfo) -> str:
    clock: WallClock | None = info.context
    if clock is not None and clock.zone is None:
        clock.asked = clock.asked or parse_date(value).tzinfo is not None
    return loose_timestamp(value, None if clock is None else clock.zone)


def _zone(value: str, info: ValidationInfo) -> str:
    clock: WallClock | None = info.context
    # An object keeps the zone that it has, so that a change of tzdata does not make its other fields read-only.
    return value if clock is not None and value == clock.stored_zone else time_zones.require_time_zone(value)


def _currency(value: str) -> str:
    if value.upper() not in CURRENCY_CODES:
        raise ValueError("not a known currency")
    return value.upper()


State = Literal["active", "inactive"]
Boolean = bool
Integer = Annotated[int, BeforeValidator(_integer), Field(ge=-MAX_ID, le=MAX_ID)]
Percent = Annotated[int, BeforeValidator(_integer), Field(ge=0, le=1000)]
ObjectId = Annotated[int, BeforeValidator(_integer), Field(ge=1, le=MAX_ID)]
# JSON Schema of what the validators demand, which pydantic cannot read from them.
_PLAIN = Field(json_schema_extra={"pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"})
_NOT_BLANK = Field(
    json_schema_extra={"pattern": r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"}
)
_MULTILINE = Field(json_schema_extra={"pattern": r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"})

Name = Annotated[
    str, StringConstraints(min_length=1, max_length=255), AfterValidator(_plain), AfterValidator(_not_blank), _NOT_BLANK
]
Text20 = Annotated[str, StringConstraints(max_length=20), AfterValidator(_plain), _PLAIN]
Text25 = Annotated[str, StringConstraints(max_length=25), AfterValidator(_plain), _PLAIN]
Text50 = Annotated[str, StringConstraints(max_length=50), AfterValidator(_plain), _PLAIN]
Text100 = Annotated[str, StringConstraints(max_length=100), AfterValidator(_plain), _PLAIN]
Text255 = Annotated[str, StringConstraints(max_length=255), AfterValidator(_plain), _PLAIN]
LongText = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(_multiline), _MULTILINE]
Code = Annotated[Text100 | None, BeforeValidator(empty_is_none)]
StrictCode = Annotated[
    Annotated[str, StringConstraints(max_length=100, pattern=r"^[A-Za-z0-9._-]+$")] | None,
    BeforeValidator(empty_is_none),
]
"""Letters, digits, periods, underscores and dashes (line-item-service, "code")."""
Timestamp = Annotated[str, AfterValidator(_timestamp), DATE, Field(json_schema_extra=TIMESTAMP)]
TimeZone = Annotated[str, AfterValidator(_zone), Field(json_schema_extra=TIME_ZONE)]
Currency = Annotated[
    str,
    AfterValidator(_currency),
    Field(
        description="ISO 4217; taken in either case.",
        examples=["USD"],
        json_schema_extra={"enum": list(CURRENCY_CODES)},
    ),
]
Money = Annotated[Decimal, BeforeValidator(_number), Field(ge=0, lt=10**9), AfterValidator(_millionths), MICROS]
OptionalMoney = Annotated[
    Annotated[Decimal, Field(ge=0, lt=10**9)] | None, BeforeValidator(_number), AfterValidator(_millionths), MICROS
]
OptionalShare = Annotated[
    Annotated[Decimal, Field(ge=0, le=1)] | None, BeforeValidator(_number), AfterValidator(_millionths), MICROS
]


def as_list(value: Any) -> Any:
    """Return an array, also for an only element without one, as some samples of the documents have it."""
    return [value] if isinstance(value, dict) else value


Amount = Annotated[
    float, BeforeValidator(_number), Field(ge=0, lt=10**9, allow_inf_nan=False), AfterValidator(whole_or_fraction)
]
"""An amount that is stored and shown, but never computed with."""
Text1000 = Annotated[str, StringConstraints(max_length=1000), AfterValidator(_plain), _PLAIN]


class Body(BaseModel):
    """The fields of an object that callers may write, with their documented defaults."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)
    shown: ClassVar[tuple[str, ...]] = ()
    """Fields of a nested object that only the server writes; a caller may send them back without a warning."""
    deleted_by_null: ClassVar[tuple[str, ...]] = ()
    """Fields of an element of an array that an update deletes by null in all of them; elements not sent stay."""


class ObjectLink(Body):
    """A link to another object: only its id is taken."""

    shown: ClassVar[tuple[str, ...]] = ("name", "code", "state")
    id: ObjectId


Link = Annotated[ObjectLink, BeforeValidator(single)]
OptionalLink = Annotated[ObjectLink | None, BeforeValidator(single)]
"""The tables of the documents say "array", their samples show an object: both are taken."""
