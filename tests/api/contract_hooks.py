"""Hooks of schemathesis (`SCHEMATHESIS_HOOKS`): use ids that exist, and leave the account of the run alone."""

from __future__ import annotations

from typing import Any

import schemathesis

from tests.support.time_zones import allowed_time_zones

KNOWN = 4
"""Objects of each kind have the ids 1 and 2; a drawn id becomes one of 0 to 3."""
_ACCOUNT = ("username", "password", "state", "user_type", "advertiser_id", "publisher_id", "read_only")
_ZONES = sorted(allowed_time_zones())
_reports: list[str] = []


@schemathesis.hook
def before_call(_: schemathesis.HookContext, case: schemathesis.Case[Any], __: dict[str, Any]) -> None:
    """Change the case before it is sent."""
    query: Any = case.query
    if isinstance(query, dict):
        for name, value in query.items():
            if _is_id(name) and isinstance(value, int | str) and str(value).isdecimal() and str(value).isascii():
                query[name] = int(value) % KNOWN
        if case.path.startswith("/report") and "id" in query and _reports:
            query["id"] = _reports[-1]
    case.body = _likely(case.body)
    if (case.method.upper(), case.path) == ("PUT", "/user") and isinstance(case.body, dict):
        user = case.body.get("user")
        if isinstance(user, dict):
            case.body["user"] = {name: value for name, value in user.items() if name not in _ACCOUNT}


@schemathesis.hook
def after_call(_: schemathesis.HookContext, case: schemathesis.Case[Any], answer: schemathesis.Response) -> None:
    """Keep the id of a report that was ordered."""
    if (case.method.upper(), case.path, answer.status_code) == ("POST", "/report", 200):
        report_id = answer.json()["response"].get("report_id")
        _reports.extend([report_id] if report_id else [])


def _is_id(name: str) -> bool:
    return name == "id" or name.endswith("_id")


def _likely(part: Any) -> Any:
    """Return a body with ids that exist and with time zones, which the document does not list."""
    if isinstance(part, list):
        return [_likely(element) for element in part]
    if not isinstance(part, dict):
        return part
    return {name: _likely_value(name, value) for name, value in part.items()}


def _likely_value(name: str, value: Any) -> Any:
    if _is_id(name) and type(value) is int:
        return value % KNOWN
    if name == "timezone" and isinstance(value, str):
        return _ZONES[len(value) % len(_ZONES)]
    return _likely(value)
