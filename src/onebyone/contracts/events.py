"""The event record, version 2: one JSON object per event, created at the edge and never rewritten (docs/events.md).

Writers always write `VERSION`. Readers upgrade an older record step by step to `VERSION` with `UPGRADES`, keep unknown
fields, and refuse a newer version with a reason, so that it becomes a dead letter and can be replayed after an upgrade.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NotRequired, TypedDict, cast

import orjson

VERSION = 2
"""The version that this module specifies; a change of the record takes the next one and an entry of `UPGRADES`."""

Kind = Literal["imp", "clk"]
"""What a tracker tracks and an event is: an impression or a click."""

Act = Literal["script", "image", "beacon", "activation", "view"]
"""How an impression was asked for: a script or an image was answered, a page sent a beacon, a prerendered page was
activated, or a page reports how it was seen."""

View = Literal["viewable", "not_viewable", "unmeasured"]
"""What a page has measured of an impression's visibility."""

NET = ""
"""The reason of an event that is counted, in sums by reason."""

REASON_LENGTH = 32
"""Characters of the longest reason, which is a column of the sums: four times a usual code."""

REQUESTS_END = 10**12
"""Refuse a summary of more requests, so that sums stay far below 64 bits."""

BUCKETS = (900, 3600)
"""Seconds that the sums of an event may be kept by: a quarter of an hour, or an hour."""

AS_OF = (
    "member_id",
    "advertiser_id",
    "line_item_id",
    "insertion_order_id",
    "publisher_id",
    "site_id",
    "tag_id",
    "payment_rule_id",
)
"""Ids of the tracker's objects as of the receipt of the event; 0 is none."""

CONSENT = ("gdpr", "gdpr_consent", "gpp", "gpp_sid", "us_privacy", "consent")
"""Privacy signals, kept verbatim."""


class Terms(TypedDict, total=False):
    """Terms of a tracker as of the event. Money in micros, shares in parts per million; an absent key is 0 or none."""

    pricing_type: str
    """Revenue type of the line item: `cpm`, `cpc`, `flat_fee`; absent reads `none`."""
    revenue_value: int
    cost_cpm: int
    """Payment rule of type cpm: media cost per thousand impressions."""
    revshare: int
    """Payment rule of type revshare: the publisher's share of the booked revenue."""
    commission_cpm: int
    commission_revshare: int


class Event(TypedDict):
    """One recorded impression or click."""

    v: int
    id: int
    """Unique positive 63-bit integer; `auction_id` in feeds."""
    ts: int
    """Receive time, ms since the epoch."""
    kind: Kind
    tracker_id: int
    member_id: int
    advertiser_id: int
    line_item_id: int
    insertion_order_id: int
    publisher_id: int
    site_id: int
    tag_id: int
    payment_rule_id: int
    terms: NotRequired[Terms]
    ancost: NotRequired[int]
    """Micros; absent when the request carried none or an invalid one."""
    user_id: NotRequired[int]
    """-1 opted out or without consent; absent is 0, unknown."""
    cb: NotRequired[str]
    """The cachebuster, for reconciliation with the ad server's own log."""
    ip: NotRequired[str]
    """Truncated to /24 or /48."""
    ua: NotRequired[str]
    ref: NotRequired[str]
    gdpr: NotRequired[str]
    gdpr_consent: NotRequired[str]
    gpp: NotRequired[str]
    gpp_sid: NotRequired[str]
    us_privacy: NotRequired[str]
    consent: NotRequired[str]
    gpc: NotRequired[int]
    flags: NotRequired[list[str]]
    rid: NotRequired[str]
    """A digest of the id that a trusted proxy gave the request, and of its tag: the same in a retry of the proxy."""
    reason: NotRequired[str]
    """Why the edge keeps the event uncounted (`edge/tags/reasons.py`); absent: it is counted."""
    requests: NotRequired[int]
    """How many requests a summary of requests without a tracker stands for; absent: the record is one event."""
    act: NotRequired[Act]
    view: NotRequired[View]
    test: NotRequired[str]
    """The id of a signed test, whose events are kept uncounted."""
    bucket: NotRequired[int]
    """Seconds of the member's sums as of the event, one of `BUCKETS`; absent: an hour."""


class EventError(ValueError):
    """A record that cannot be counted; `reason` is a short code for the dead-letter table."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


Upgrade = Callable[[dict[str, Any]], dict[str, Any]]

UPGRADES: dict[int, Upgrade] = {1: lambda record: record}
"""Version n -> the step that turns its record into one of version n + 1. Version 2 only adds optional fields."""

_REASON = re.compile(rf"[a-z][a-z0-9_]{{0,{REASON_LENGTH - 1}}}")
_INTEGERS = ("id", "ts", "tracker_id", *AS_OF)


def decode_event(line: bytes, upgrades: Mapping[int, Upgrade] = UPGRADES) -> Event:
    """Return the event of one JSON line, upgraded to `VERSION`. Raise `EventError` with the reason."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise EventError("bad_json", str(error)) from None
    if type(record) is not dict:
        raise EventError("bad_json", "not an object")
    version = record.get("v")
    while version != VERSION:
        if type(version) is not int or version not in upgrades:
            raise EventError("unknown_version", repr(version))
        record = upgrades[version](record)
        version = version + 1
        record["v"] = version
    _check(record)
    return cast(Event, record)


def _check(record: dict[str, Any]) -> None:
    for field in _INTEGERS:
        value = record.get(field)
        if type(value) is not int or not 0 <= value < 2**63:
            raise EventError("bad_event", f"{field} is {value!r}")
    if record.get("kind") not in ("imp", "clk"):
        raise EventError("bad_event", f"kind is {record.get('kind')!r}")
    ancost = record.get("ancost")
    if ancost is not None and (type(ancost) is not int or not 0 <= ancost < 10**12):
        raise EventError("bad_event", f"ancost is {ancost!r}")
    terms = record.get("terms", {})
    if type(terms) is not dict:
        raise EventError("bad_event", "terms is not an object")
    reason = record.get("reason")
    if reason is not None and (type(reason) is not str or _REASON.fullmatch(reason) is None):
        raise EventError("bad_event", f"reason is {reason!r:.100}")
    requests = record.get("requests")
    if requests is not None and (type(requests) is not int or not 0 < requests < REQUESTS_END or reason is None):
        raise EventError("bad_event", f"requests is {requests!r:.100}")
    bucket = record.get("bucket")
    if bucket is not None and (type(bucket) is not int or bucket not in BUCKETS):
        raise EventError("bad_event", f"bucket is {bucket!r:.100}")
