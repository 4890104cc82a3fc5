"""What the edge does with signed links: a valid one is followed to any host, and any other is judged as unsigned."""

from __future__ import annotations

import asyncio
import re
from typing import Any, cast
from urllib.parse import quote

import orjson
import pytest

from onebyone.clock import now_ms
from onebyone.contracts.configuration import MemberRecord
from onebyone.contracts.signed_links import SigningKey, sign
from onebyone.edge.configuration.cache import ConfigCache, Tracker
from onebyone.edge.journal.group_commit import GroupCommit
from onebyone.edge.recorder import Recorder
from onebyone.edge.tags import client, query
from onebyone.settings import Settings
from tests.edge.edge_process import tracker

BROWSER = client.parse_client({b"user-agent": b"Probe/1.0"})
KEY, OTHER_MEMBERS_KEY = SigningKey("k1", "secret"), SigningKey("k2", "other")
STRANGER = "https://stranger.example/a?b=c&d=%20"
APPROVED = "https://landing.example/"
CLICK_URL = "https://landing.example/offer"
DAY = 86_400
"""Longer than a run: links of the table are signed when the tests are collected."""


@pytest.fixture
def recorder() -> Recorder:
    lookups = ConfigCache(cast(Any, None), 4, None)
    for record in (tracker("clk", 1, click_url=CLICK_URL), tracker("clk", 3)):
        lookups.clicks.store(record.id, Tracker.decode(record.encode()))
    lookups.impressions.store(1, Tracker.decode(tracker("imp", 1).encode()))
    lookups.members.store(7, MemberRecord(7, click_hosts=("landing.example",), signing_keys=(KEY,)))
    lookups.members.store(8, MemberRecord(8, signing_keys=(OTHER_MEMBERS_KEY,)))
    return Recorder(Settings(), lookups, cast(GroupCommit, None), asyncio.Event())


def signed(
    target: str,
    *,
    tracker_id: int = 1,
    signed_id: int = 1,
    seconds: int = DAY,
    key: SigningKey = KEY,
    raw: bool = False,
    suffix: str = "",
) -> bytes:
    """Return the query string of a signed link that is valid for `seconds`, with `suffix` after its target."""
    expiry = now_ms() // 1000 + seconds
    sig = sign(key.secret, signed_id, target.encode(), expiry).decode()
    redir = target if raw else quote(target, safe="")
    return f"id={tracker_id}&sig={sig}&exp={expiry}&kid={key.kid}&redir={redir}{suffix}".encode()


def answer(recorder: Recorder, raw: bytes, kind: Any = "clk") -> tuple[str | None, list[str], str]:
    """Return `Location`, the flags of the event, and `X-OneByOne`."""
    decision, line = recorder.decide(kind, query.parse_tag(raw), BROWSER, b"", b"")
    assert line is not None
    location = dict(decision.response.headers).get(b"location")
    (flags,) = re.findall(rb'"flags":(\[.*?\])', line) or [b"[]"]
    return None if location is None else location.decode(), orjson.loads(flags), decision.verdict[1].decode()


REFUSED = "recorded; redirect=refused"
EVIL = "https://evil.example/"
IDN, IDN_LOCATION = "https://münchen.example/x", "https://xn--mnchen-3ya.example/x"
ROWS: list[tuple[str, bytes, str | None, list[str], str]] = [
    ("encoded", signed(STRANGER), STRANGER, [], "recorded"),
    ("raw", signed(STRANGER, raw=True), STRANGER, [], "recorded"),
    ("encoded, more after it", signed(STRANGER, suffix="&cachebuster=1"), STRANGER, [], "recorded"),
    ("escaped ampersands", signed(STRANGER).replace(b"&", b"&amp;"), STRANGER, [], "recorded"),
    ("internationalised", signed(IDN), IDN_LOCATION, [], "recorded"),
    ("internationalised, raw", signed(IDN, raw=True), IDN_LOCATION, [], "recorded"),
    ("no click url", signed(STRANGER, tracker_id=3, signed_id=3), STRANGER, [], "recorded"),
    ("raw, more after it", signed(STRANGER, raw=True, suffix="&x=1"), CLICK_URL, ["signature_invalid"], REFUSED),
    ("of another tracker", signed(STRANGER, tracker_id=3), None, ["signature_invalid"], REFUSED),
    ("expired", signed(STRANGER, seconds=-1), CLICK_URL, ["signature_expired"], REFUSED),
    ("expired, approved", signed(APPROVED, seconds=-1), APPROVED, ["signature_expired"], "recorded"),
    ("key of another member", signed(STRANGER, key=OTHER_MEMBERS_KEY), CLICK_URL, ["signing_key_unknown"], REFUSED),
    ("other secret", signed(STRANGER, key=SigningKey("k1", "x")), CLICK_URL, ["signature_invalid"], REFUSED),
    ("no exp", signed(STRANGER).replace(b"exp=", b"x="), CLICK_URL, ["signature_invalid"], REFUSED),
    ("no kid", signed(STRANGER).replace(b"kid=", b"x="), CLICK_URL, ["signing_key_unknown"], REFUSED),
    ("no sig", signed(STRANGER).replace(b"sig=", b"x="), CLICK_URL, [], REFUSED),
    ("signature after a raw target", f"id=1&redir={STRANGER}&".encode() + signed(STRANGER), CLICK_URL, [], REFUSED),
    ("user name", signed("https://a@evil.example/"), CLICK_URL, [], REFUSED),
    ("script", signed("javascript:alert(1)"), CLICK_URL, [], REFUSED),
]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "location", "flags", "verdict"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_a_signed_click(recorder: Recorder, raw: bytes, location: str | None, flags: list[str], verdict: str) -> None:
    expected = flags + (["redirect_refused"] if verdict == REFUSED else [])
    assert answer(recorder, raw) == (location, expected, verdict)


def test_a_signed_impression_redirects_too(recorder: Recorder) -> None:
    assert answer(recorder, signed(STRANGER), "imp") == (STRANGER, [], "recorded")


def test_a_revoked_key_is_refused_and_its_successor_accepted(recorder: Recorder) -> None:
    old, new = signed(STRANGER), signed(STRANGER, key=SigningKey("k9", "next"))
    recorder.decisions.cache.members.store(7, MemberRecord(7, signing_keys=(SigningKey("k9", "next"),)))
    assert answer(recorder, old)[1] == ["signing_key_unknown", "redirect_refused"]
    assert answer(recorder, new)[0] == STRANGER
