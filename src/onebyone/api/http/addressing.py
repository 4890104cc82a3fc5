"""The parameters that say which object a request is about, in all the ways in which clients send them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onebyone.api.http.parameters import merge_parameters
from onebyone.auth.caller import Caller
from onebyone.errors import Operation
from onebyone.resources.entity import Entity
from onebyone.resources.owners import owner_parameters

_KEYS = ("id", "code")
_IGNORED = ("member_id",)
"""Accepted without an effect: every object is of the caller's member."""
_ONLY_BY_ID = ("user",)
"""Services in which nothing but `id` names the object: a mistaken name must not change the rights of an account."""


def used_parameters(entity: Entity, operation: Operation) -> frozenset[str]:
    """Return the parameters that a write of this kind reads."""
    flags = [name for name, used_by in entity.flags.items() if used_by == operation]
    keys = () if operation == "create" else _KEYS
    append = ("append",) if operation == "update" else ()
    return frozenset((*keys, *append, *flags, *owner_parameters(entity), *_IGNORED))


def with_own_keys(entity: Entity, parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters with `advertiser_id` as `id`, and `advertiser_code` as `code`, for an advertiser.

    The same holds for the names of every other service, unless `id` or `code` is there too.
    """
    own = dict(parameters)
    for key in () if entity.service in _ONLY_BY_ID else _KEYS:
        name = f"{entity.service.replace('-', '_')}_{key}"
        if name in own and own.keys().isdisjoint(_KEYS):
            own[key] = own.pop(name)
    return own


def with_own_ids(entity: Entity, parameters: Mapping[str, str], caller: Caller) -> dict[str, str]:
    """Return the parameters as `with_own_keys` does; `user?current` and a bare `member` name the caller's own."""
    own = with_own_keys(entity, parameters)
    if entity.service == "user" and "current" in own:
        del own["current"]
        own["id"] = str(caller.user_id)
    elif entity.service == "member":
        own.setdefault("id", str(caller.member_id))
    return own


def with_id_of_object(
    entity: Entity, parameters: Mapping[str, str], values: Mapping[str, Any] | None
) -> dict[str, str]:
    """Return the parameters with the `id` that the object itself has, if they name none."""
    if values is None or entity.service in _ONLY_BY_ID or not parameters.keys().isdisjoint(_KEYS):
        return dict(parameters)
    return merge_parameters(parameters, {"id": values.get("id")})


def unwrap_object(
    entity: Entity, parameters: Mapping[str, str], body: Any
) -> tuple[dict[str, str], Mapping[str, Any] | None, list[str]]:
    """Return parameters, object and unused names of a body `{"<service>": {...}}`; the object is None without one.

    The ids and codes of owners may stand beside the object: some clients have no other place for parameters.
    """
    if not isinstance(body, dict) or not isinstance(body.get(entity.service), dict):
        return dict(parameters), None, []
    named = {name: body[name] for name in owner_parameters(entity) if name in body}
    beside = [name for name in body if name != entity.service and name not in named]
    return merge_parameters(parameters, named), body[entity.service], beside
