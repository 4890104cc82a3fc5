"""`imptracker` and `clicktracker`: the tags that the edge counts, each for a line item and a publisher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field
from sqlalchemy import select

from onebyone.config_store import tables
from onebyone.contracts.events import Kind
from onebyone.errors import Forbidden
from onebyone.resources import tracker_tags, urls
from onebyone.resources.entity import Carried, Entity, Reference, Values
from onebyone.resources.fields import Body, Code, Link, Name, OptionalLink, State, empty_is_none
from onebyone.resources.unit_of_work import UnitOfWork
from onebyone.settings import Settings


class _TrackerBody(Body):
    name: Name
    code: Code = None
    state: State = "active"
    publisher: Link
    line_item: Link
    tag: OptionalLink = None
    payment_rule: OptionalLink = None


class _Tracker(Entity):
    kind: ClassVar[Kind]
    derived = {"tags": "object"}  # noqa: RUF012
    parent = Reference("advertiser_id", "advertiser_id", tables.advertiser)
    references = (
        Reference("publisher", "publisher_id", tables.publisher),
        Reference("tag", "placement_id", tables.placement, owner="publisher_id"),
        Reference("payment_rule", "payment_rule_id", tables.payment_rule, owner="publisher_id"),
        Reference("line_item", "line_item_id", tables.line_item, owner="advertiser_id"),
    )

    async def allow_create(self, work: UnitOfWork) -> None:
        member = await work.member_row()
        if not member["doc"]["enable_click_and_imp_trackers"]:
            raise Forbidden(
                "the member may not create impression and click trackers",
                reason="enable_click_and_imp_trackers of the member is false",
            )

    def fields_of_row(self, row: Values, settings: Settings) -> Values:
        return {"tags": tracker_tags.tracker_tags(self.kind, row["id"], settings.edge_url)}

    def unwritable(self, work: UnitOfWork, stored: Values | None) -> Values:
        if stored is None:
            return {"tags": None}
        return {"tags": tracker_tags.tracker_tags(self.kind, stored["id"], work.request.edge_url)}

    async def created(self, work: UnitOfWork, row: Values, carried: Carried) -> None:
        work.republish_tracker(self.kind, row["id"])
        self._warn_of_base_url(work)

    async def modified(self, work: UnitOfWork, before: Values, after: Values, carried: Carried) -> None:
        work.republish_tracker(self.kind, before["id"])
        self._warn_of_base_url(work)

    def _warn_of_base_url(self, work: UnitOfWork) -> None:
        warning = tracker_tags.base_url_warning(work.request.edge_url)
        if warning is not None:
            work.warn(warning)

    async def delete(self, work: UnitOfWork, ids: Sequence[int]) -> None:
        for tracker_id in ids:
            work.republish_tracker(self.kind, tracker_id)
        await super().delete(work, ids)


class Imptracker(_Tracker):
    """An impression tracker."""

    service = "imptracker"
    kind = "imp"
    table = tables.imptracker
    body = _TrackerBody
    output = (
        "id",
        "member_id",
        "advertiser_id",
        "name",
        "code",
        "state",
        "last_modified",
        "publisher",
        "tag",
        "payment_rule",
        "line_item",
        "tags",
    )


def _click_url(value: str) -> str:
    urls.target_host(value)
    return value


_NO_CLICK_URL = (
    "click_url is not set: the tag needs redir= with a target at its end, and shows a notice instead unless the host "
    "of the target is approved (redirect_domains or redirect_policy of the member)"
)


class _ClicktrackerBody(_TrackerBody):
    click_url: Annotated[
        Annotated[str, AfterValidator(_click_url), Field(json_schema_extra=urls.URL_SCHEMA)] | None,
        BeforeValidator(empty_is_none),
    ] = None


class Clicktracker(_Tracker):
    """A click tracker. The host of its target is an approved redirect host of the member."""

    service = "clicktracker"
    kind = "clk"
    table = tables.clicktracker
    body = _ClicktrackerBody
    output = (*Imptracker.output[:6], "click_url", *Imptracker.output[6:])

    def columns(self, values: Values) -> Values:
        url = values["click_url"]
        return {"click_host": None if url is None else urls.target_host(url)}

    async def created(self, work: UnitOfWork, row: Values, carried: Carried) -> None:
        await super().created(work, row, carried)
        if row["click_url"] is None:
            work.warn(_NO_CLICK_URL)
        await self._publish_hosts(work, [row["id"]], {row["click_host"]})

    async def modified(self, work: UnitOfWork, before: Values, after: Values, carried: Carried) -> None:
        await super().modified(work, before, after, carried)
        await self._publish_hosts(work, [before["id"]], {before["click_host"]} ^ {after["click_host"]})

    async def delete(self, work: UnitOfWork, ids: Sequence[int]) -> None:
        query = select(self.table.c.click_host).where(
            self.table.c.member_id == work.member_id, self.table.c.id.in_(ids)
        )
        hosts = set(await work.connection.scalars(query.distinct()))
        await super().delete(work, ids)
        await self._publish_hosts(work, ids, hosts)

    async def _publish_hosts(self, work: UnitOfWork, ids: Sequence[int], hosts: set[str | None]) -> None:
        """Note that the member's record changes if no other click tracker has one of these hosts."""
        for host in hosts - {None}:
            if not await work.exists(self.table, self.table.c.click_host == host, self.table.c.id.not_in(ids)):
                work.republish_member()
                return
