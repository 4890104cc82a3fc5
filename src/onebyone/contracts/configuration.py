"""The records that the API publishes to the cache server and the edge answers by: trackers, members, and versions.

Each committed change has a version (1, 2, 3, ... from the configuration store). A publisher writes the records, then
in one transaction appends `{"v": version, "keys": "<redis key> <redis key> ..."}` to `keys.CHANGES` and sets
`keys.HEAD` to `<store id>:<version>`. A reader that finds HEAD ahead of the last entry that it read has missed a
message and revalidates what it caches. A reader that finds no HEAD knows that the cache is incomplete: a missing
record then does not mean an unknown tracker.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import orjson

from onebyone.contracts.events import Kind, Terms

RedirectPolicy = Literal["approved", "any"]


@dataclass(frozen=True, slots=True)
class TrackerRecord:
    """One impression or click tracker with the ids and terms that its events carry; an id of 0 is none."""

    id: int
    kind: Kind
    active: bool
    member_id: int
    advertiser_id: int
    line_item_id: int
    insertion_order_id: int
    publisher_id: int
    site_id: int
    tag_id: int
    payment_rule_id: int
    click_url: str | None = None
    terms: Terms = field(default_factory=lambda: Terms())

    def encode(self) -> bytes:
        """Return the JSON for the cache."""
        return orjson.dumps(asdict(self))

    @classmethod
    def decode(cls, text: bytes) -> TrackerRecord:
        """Return the record of a cached JSON; ignore unknown keys, so that a newer API can serve an older edge."""
        return cls(**_known(cls, orjson.loads(text)))


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """The redirect rules of one member. Hosts are ASCII, lower case, as the WHATWG URL parser serialises them."""

    id: int
    redirect_policy: RedirectPolicy = "approved"
    redirect_domains: tuple[str, ...] = ()
    click_hosts: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """Return the JSON for the cache."""
        return orjson.dumps(asdict(self))

    @classmethod
    def decode(cls, text: bytes) -> MemberRecord:
        """Return the record of a cached JSON."""
        values = _known(cls, orjson.loads(text))
        for name in ("redirect_domains", "click_hosts"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)


def _known(cls: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in cls.__dataclass_fields__ if name in values}


@dataclass(frozen=True, slots=True)
class Head:
    """The value of `keys.HEAD`: which store published, and up to which version."""

    store_id: str
    version: int

    def encode(self) -> str:
        """Return `<store id>:<version>`."""
        return f"{self.store_id}:{self.version}"

    @classmethod
    def decode(cls, text: bytes) -> Head:
        """Return the head of a cached value. Raise `ValueError` for a malformed one."""
        store_id, _, version = text.decode("ascii").rpartition(":")
        return cls(store_id, int(version))
