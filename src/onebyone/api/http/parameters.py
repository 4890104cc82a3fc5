"""Turns the query string of a request, and the JSON body that clients send with GET, into typed arguments."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from starlette.requests import Request

from onebyone.api.http.errors import ApiError
from onebyone.errors import Fault, Refused, raise_faults
from onebyone.reports.unknown_fields import WARNINGS_MAX
from onebyone.resources.fields import MAX_ID
from onebyone.resources.paging import PAGE, Page, Query
from onebyone.resources.service import Target

IDS_MAX = 1000
"""Ids in one request: as many as clients send, and as a statement takes without trouble."""

_ID = re.compile(r"[0-9]{1,19}", re.ASCII)
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_READ_ELSEWHERE = ("start_element", "num_elements", "sort", "fields", "add_mappings", "append", "current")
"""Parameters of a read that are no filters."""


def read_parameters(request: Request) -> dict[str, str]:
    """Return the decoded query string; of a repeated name the first value counts. Raise `ApiError` for a NUL."""
    parameters: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if "\x00" in name or "\x00" in value:
            raise ApiError("SYNTAX", "the query string holds a NUL")
        parameters.setdefault(name, value)
    return parameters


def merge_parameters(parameters: Mapping[str, str], body: Any) -> dict[str, str]:
    """Return the parameters with those that a client sent in the body of a GET; the query string's values count first.

    `nexusadspy` sends ids and pages in no other way, and the original answered it. Values that nest anything but a
    list of plain values are ignored. Raise `ApiError` for a NUL.
    """
    if not isinstance(body, dict):
        return dict(parameters)
    sent = {name: text for name, value in body.items() if (text := _as_text(value)) is not None}
    if any("\x00" in name or "\x00" in text for name, text in sent.items()):
        raise ApiError("SYNTAX", "a parameter in the body holds a NUL")
    return {**sent, **parameters}


def _as_text(value: Any) -> str | None:
    """Return a value as a query string would have it."""
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            return str(value)
        case list():
            parts = [_as_text(part) for part in value if not isinstance(part, list)]
            return ",".join(part for part in parts if part is not None)
        case _:
            return None


def warn_of_nested(body: Any, warnings: list[str]) -> None:
    """Add a warning for each name in the body of a GET that `merge_parameters` ignores."""
    if isinstance(body, dict):
        nested = (name for name, value in body.items() if value is not None and _as_text(value) is None)
        warn_of_unused(nested, (), warnings)


def warn_of_unused(parameters: Iterable[str], used: Collection[str], warnings: list[str]) -> None:
    """Add a warning for each parameter that is not one of `used`, up to `WARNINGS_MAX`."""
    unused = [name for name in parameters if name not in used]
    warnings += [f"query parameter not used: {name[:40]}" for name in unused[:WARNINGS_MAX]]


def parse_flags(parameters: Mapping[str, str]) -> dict[str, bool]:
    """Return the parameters that are set or unset as flags."""
    return {name: _FLAGS[value] for name, text in parameters.items() if (value := text.lower()) in _FLAGS}


def parse_page(parameters: Mapping[str, str]) -> Page:
    """Return the requested page. Raise `Refused` with every parameter that is not an integer in its range."""
    faults = []
    numbers = {}
    for name, default, least in (("start_element", 0, 0), ("num_elements", PAGE, 1)):
        text = parameters.get(name, "") or str(default)
        if not _ID.fullmatch(text) or not least <= int(text) <= MAX_ID:
            faults.append(Fault(name, f"must be an integer of at least {least}"))
        else:
            numbers[name] = int(text)
    raise_faults(faults)
    return Page(numbers["start_element"], min(numbers["num_elements"], PAGE))


def parse_ids(parameters: Mapping[str, str]) -> list[int]:
    """Return the ids of `id=1,2`, each once; empty without the parameter. Raise `Refused` for a malformed list."""
    text = parameters.get("id")
    if text is None:
        return []
    ids = [_parse_id("id", part) for part in text.split(",")]
    if len(ids) > IDS_MAX:
        raise Refused(Fault("id", f"at most {IDS_MAX} ids in one request"))
    return list(dict.fromkeys(ids))


def names_one_object(parameters: Mapping[str, str]) -> bool:
    """Return whether the answer is one object instead of a list: for a single id."""
    return "id" in parameters and "," not in parameters["id"]


def names_one_code(parameters: Mapping[str, str]) -> bool:
    """Return whether a single code names what is read."""
    return "id" not in parameters and "," not in parameters.get("code", ",")


def _parse_id(name: str, text: str) -> int:
    if not _ID.fullmatch(text.strip()) or int(text) > MAX_ID:
        raise Refused(Fault(name, f"not an id: {text[:40]!r}"))
    return int(text)


def parse_query(parameters: Mapping[str, str], page: Page) -> Query:
    """Return a read as the engine takes it; what is neither a filter nor read elsewhere becomes a warning there."""
    flags = parse_flags(parameters)
    read_elsewhere = {*_READ_ELSEWHERE, "id"} if names_one_object(parameters) else _READ_ELSEWHERE
    return Query(
        filters={name: text for name, text in parameters.items() if name not in read_elsewhere},
        sort=_split(parameters.get("sort", "")),
        page=page,
        fields=_split(parameters.get("fields", "")),
        nested=flags.get("add_mappings", True),
        flags=flags,
    )


def parse_target(parameters: Mapping[str, str]) -> Target:
    """Return the objects that a write names. Raise `Refused` for a malformed list of ids."""
    return Target(parse_ids(parameters), parameters.get("code"), parse_owners(parameters))


def parse_owners(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the ids and codes of owners."""
    return {name: text for name, text in parameters.items() if name.endswith(("_id", "_code"))}


def _split(text: str) -> list[str]:
    return [part for part in (piece.strip() for piece in text.split(",")) if part]
