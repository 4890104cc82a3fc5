"""What an operator does with the keys of signed links, and a link that is signed with one of them."""

from __future__ import annotations

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.clock import now_ms
from onebyone.config_store import tables
from onebyone.contracts import signed_links, tag_urls
from onebyone.contracts.locations import to_location
from onebyone.resources.admin.administration import AdministrationError, writing
from onebyone.resources.unit_of_work import UnitOfWork, WriteRequest, timestamp
from onebyone.settings import Settings

KEYS_MAX = 10
"""Keys of one member: a rotation needs two, and each of them travels in the member's record to every edge."""


async def create_key(settings: Settings, member_id: int) -> signed_links.SigningKey:
    """Create a key of the member and return it. Raise `AdministrationError`, as all these functions do."""
    key, now = signed_links.new_key(), now_ms()
    columns = tables.signing_key.c
    async with writing(settings) as connection:
        if await connection.scalar(select(tables.member.c.id).where(tables.member.c.id == member_id)) is None:
            raise AdministrationError(f"no member {member_id}")
        count = select(func.count()).select_from(tables.signing_key).where(columns.member_id == member_id)
        if (await connection.scalar(count) or 0) >= KEYS_MAX:
            raise AdministrationError(f"member {member_id} has {KEYS_MAX} keys: revoke one first")
        row = {"member_id": member_id, "kid": key.kid, "secret": key.secret, "created_on": timestamp(now)}
        await connection.execute(insert(tables.signing_key).values(row))
        await _publish_member(connection, member_id, now)
    return key


async def list_keys(settings: Settings, member_id: int) -> list[tuple[str, str]]:
    """Return id and time of creation of each key of the member, the newest last; never the secret."""
    key = tables.signing_key.c
    query = select(key.kid, key.created_on).where(key.member_id == member_id).order_by(key.created_on, key.kid)
    async with writing(settings) as connection:
        return [(row.kid, row.created_on) for row in await connection.execute(query)]


async def revoke_key(settings: Settings, member_id: int, kid: str) -> None:
    """Delete a key of the member: links that it has signed are no longer approved by their signature."""
    key = tables.signing_key
    revoked = delete(key).where(key.c.member_id == member_id, key.c.kid == kid).returning(key.c.kid)
    async with writing(settings) as connection:
        if (await connection.execute(revoked)).first() is None:
            raise AdministrationError(f"member {member_id} has no key {kid}")
        await _publish_member(connection, member_id, now_ms())


async def sign_link(settings: Settings, tracker_id: int, target: str, expiry: int, kid: str | None) -> str:
    """Return the URL of a click tracker with a signed target; without `kid` its member's newest key signs."""
    if to_location(target.encode("utf-8", "surrogateescape")) is None or not target.isprintable() or " " in target:
        raise AdministrationError("the target must be an http or https URL without user name, blanks and backslashes")
    tracker, key = tables.clicktracker.c, tables.signing_key.c
    query = (
        select(key.kid, key.secret)
        .join(tables.clicktracker, tracker.member_id == key.member_id)
        .where(tracker.id == tracker_id)
        .order_by(key.created_on.desc(), key.kid)
    )
    if kid is not None:
        query = query.where(key.kid == kid)
    async with writing(settings) as connection:
        if await connection.scalar(select(tracker.id).where(tracker.id == tracker_id)) is None:
            raise AdministrationError(f"no click tracker {tracker_id}")
        row = (await connection.execute(query)).first()
    if row is None:
        lack = "no key" if kid is None else f"no key {kid}"
        raise AdministrationError(f"the member has {lack}: `onebyone signing-key create` makes one")
    tag_url = tag_urls.plain_click_url(settings.edge_url, tracker_id)
    return signed_links.signed_url(tag_url, signed_links.SigningKey(*row), tracker_id, target, expiry)


async def _publish_member(connection: AsyncConnection, member_id: int, now: int) -> None:
    work = UnitOfWork(connection, WriteRequest(member_id), now)
    work.republish_member()
    await work.record_changes()
