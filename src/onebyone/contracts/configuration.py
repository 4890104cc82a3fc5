"""The records that the API publishes to the cache server and the edge answers by: trackers, members, and versions.

Each committed change has a version (1, 2, 3, ... from the configuration store). A publisher writes the records, then
in one transaction appends `{"v": version, "ms": time of the commit, "keys": "<redis key> <redis key> ..."}` to
`keys.CHANGES` and sets `keys.HEAD` to `<store id>:<version>` and `keys.HEAD_COMMITTED` to the time of the commit.

A store that is restored from a backup gives out some versions again, for other changes. Version and time of the commit
together name one change. So a reader that finds another HEAD than the entries that it read lead to, or an entry whose
version does not follow the one before, has missed a message, or the store was restored: it revalidates all that it
caches. A reader that finds no HEAD knows that the cache is incomplete: a missing record then does not mean an unknown
tracker.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import orjson

from onebyone.contracts import keys
from onebyone.contracts.events import Kind, Terms
from onebyone.contracts.signed_links import SigningKey

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
    signing_keys: tuple[SigningKey, ...] = ()

    def encode(self) -> bytes:
        """Return the JSON for the cache."""
        return orjson.dumps(asdict(self))

    @classmethod
    def decode(cls, text: bytes) -> MemberRecord:
        """Return the record of a cached JSON."""
        values = _known(cls, orjson.loads(text))
        for name in ("redirect_domains", "click_hosts"):
            values[name] = tuple(values.get(name, ()))
        values["signing_keys"] = tuple(SigningKey(**key) for key in values.get("signing_keys", ()))
        return cls(**values)


def _known(cls: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in cls.__dataclass_fields__ if name in values}


@dataclass(frozen=True, slots=True)
class Head:
    """The last published change: the values of `keys.HEAD` and `keys.HEAD_COMMITTED`."""

    store_id: str
    version: int
    committed_ms: int = 0
    """When the store committed this version, ms since the epoch; 0: not known, or no change was ever committed."""

    def encode(self) -> str:
        """Return the value of `keys.HEAD`, `<store id>:<version>`."""
        return f"{self.store_id}:{self.version}"

    def values(self) -> dict[str, str | int]:
        """Return the values to set, by Redis key."""
        return {keys.HEAD: self.encode(), keys.HEAD_COMMITTED: self.committed_ms}

    @classmethod
    def decode(cls, text: bytes, committed: bytes | None = None) -> Head:
        """Return the head of the values of `keys.HEAD` and `keys.HEAD_COMMITTED`. Raise `ValueError` for bad ones."""
        store_id, _, version = text.decode("ascii").rpartition(":")
        return cls(store_id, int(version), int(committed or 0))

    def went_back_from(self, known: Head) -> bool:
        """Return whether a reader that knows `known` follows a discarded future: this is another store, or an earlier
        version, or the same one committed at another time."""
        if self.store_id != known.store_id or self.version < known.version:
            return True
        return self.version == known.version and self.committed_ms != known.committed_ms
