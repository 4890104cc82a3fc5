"""Who may change which fields of which user: the rule table of the service `user`, for every face of the engine.

| caller                      | own row                                  | another user of the member |
|-----------------------------|------------------------------------------|----------------------------|
| admin                       | `CONTACT_FIELDS`, password, `username`   | every field, and new users |
| whole member, or limited    | `CONTACT_FIELDS`, password               | nothing                    |
| read-only                   | password                                 | nothing                    |

An admin is one who `manages_users`: of the whole member, and not read-only. An own new password needs the old one.
Nobody changes the own rights, so that an active admin remains whatever admins do. Only the operator's command line
makes an admin. A user of another member does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onebyone.auth.caller import Caller
from onebyone.errors import Forbidden, ForbiddenOperation

CONTACT_FIELDS = frozenset(
    {
        *("email", "first_name", "last_name", "phone", "custom_data", "send_safety_budget_notifications"),
        *("timezone", "reporting_decimal_type", "decimal_mark", "thousand_separator", "expired_login_status"),
    }
)
"""Fields that give no right and identify nobody to the login."""
RIGHTS = frozenset({"state", "user_type", "advertiser_id", "publisher_id", "read_only"})
"""Fields that decide what a user may see and do."""
PASSWORD_FIELDS = frozenset({"password", "old_password"})


def own_fields(caller: Caller) -> frozenset[str]:
    """Return the fields that the caller may change in the own row."""
    if caller.read_only:
        return PASSWORD_FIELDS
    return CONTACT_FIELDS | PASSWORD_FIELDS | ({"username"} if caller.manages_users else set())


def require_target(caller: Caller, user_id: int) -> None:
    """Raise `Forbidden` unless the caller may change any field of this user of the member."""
    if user_id == caller.user_id or caller.manages_users:
        return
    if caller.read_only:
        raise Forbidden("the user is read-only")
    raise ForbiddenOperation("update", "user")


def require_fields(caller: Caller, user_id: int, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Raise `Forbidden` when a field differs that the caller may not change in this user."""
    require_target(caller, user_id)
    if user_id != caller.user_id:
        return
    allowed = own_fields(caller)
    refused = sorted(name for name, value in after.items() if name not in allowed and value != before.get(name))
    if not refused:
        return
    names = ", ".join(refused)
    if caller.read_only:
        raise Forbidden(f"the user is read-only and changes nothing but the password: {names}")
    if caller.manages_users:
        raise Forbidden(f"nobody changes the own rights, another admin does: {names}")
    raise Forbidden(f"only an admin may change: {names}")
