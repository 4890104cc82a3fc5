"""The caller: what the engine knows of the user who makes a request, through any face."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """The user of a valid session. Every statement made for it is limited to `member_id`."""

    user_id: int
    username: str
    name: str
    member_id: int
    timezone: str
    admin: bool = False
    """Whether the user may audit pixels; `manages_users` says when the rest of an admin's rights come with it."""
    read_only: bool = False
    limit: tuple[str, int] | None = None
    """`("advertiser_id", 5)` for a user who sees one advertiser or publisher only."""
    acting_admin_id: int | None = None
    """The admin who acts as the user in this session; None when the user has logged in."""

    @property
    def manages_users(self) -> bool:
        """Whether the user has every right in the member, and so may grant any to others and act as any of them."""
        return self.admin and not self.read_only and self.limit is None
