"""Signed links: only the exact tracker, target and expiry that a key of the member has signed are valid."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onebyone.contracts.configuration import MemberRecord
from onebyone.contracts.signed_links import Signature, SigningKey, Verdict, new_key, sign, signed_url, verify

OLD, NEW = SigningKey("old", "secret-of-old"), SigningKey("new", "secret-of-new")
KEYS = (OLD, NEW)
TARGET = "https://shop.example/ä?a=b&c=%20#top".encode()
EXPIRY = 2_000_000_000
SIG = sign(OLD.secret, 1, TARGET, EXPIRY)
VALID = Signature(SIG, b"%d" % EXPIRY, b"old")


def test_the_signature_is_the_documented_hmac() -> None:
    digest = hmac.new(b"secret-of-old", b"1\n2000000000\n" + TARGET, hashlib.sha256).digest()
    assert base64.urlsafe_b64decode(SIG + b"=") == digest


def test_each_key_of_a_rotation_is_accepted() -> None:
    assert verify(VALID, KEYS, 1, TARGET, EXPIRY - 1) is Verdict.VALID
    assert (
        verify(Signature(sign(NEW.secret, 1, TARGET, EXPIRY), VALID.exp, b"new"), KEYS, 1, TARGET, 0) is Verdict.VALID
    )


@pytest.mark.parametrize(("now", "verdict"), [(EXPIRY - 0.001, Verdict.VALID), (EXPIRY, Verdict.EXPIRED)])
def test_a_link_is_valid_until_its_expiry(now: float, verdict: Verdict) -> None:
    assert verify(VALID, KEYS, 1, TARGET, now) is verdict


CHANGED = [
    (VALID._replace(sig=b""), 1, TARGET),
    (VALID._replace(sig=SIG[:-1]), 1, TARGET),
    (VALID._replace(sig=SIG + b"="), 1, TARGET),
    (VALID._replace(sig=SIG.swapcase()), 1, TARGET),
    (VALID._replace(sig=b"\xff" * 43), 1, TARGET),
    (VALID._replace(exp=b"2000000001"), 1, TARGET),
    (VALID._replace(exp=b"02000000000"), 1, TARGET),
    (VALID._replace(exp=b"+2000000000"), 1, TARGET),
    (VALID._replace(exp=b"2000000000 "), 1, TARGET),
    (VALID._replace(exp="٢".encode() * 10), 1, TARGET),
    (VALID._replace(exp=b""), 1, TARGET),
    (VALID._replace(exp=b"9" * 5000), 1, TARGET),
    (VALID._replace(kid=b"new"), 1, TARGET),
    (VALID, 2, TARGET),
    (VALID, 12, TARGET),
    (VALID, 1, TARGET + b"&d=e"),
    (VALID, 1, TARGET[:-1]),
    (VALID, 1, TARGET.replace(b"%20", b" ")),
    (VALID, 1, b"https://evil.example/"),
]


@pytest.mark.parametrize(("signature", "tracker_id", "target"), CHANGED)
def test_nothing_of_a_signed_link_can_be_changed(signature: Signature, tracker_id: int, target: bytes) -> None:
    assert verify(signature, KEYS, tracker_id, target, 0) is Verdict.INVALID


@pytest.mark.parametrize("kid", [b"", b"OLD", b"old ", b"\xff", b"revoked"])
def test_an_unknown_key_is_said_to_be_unknown(kid: bytes) -> None:
    assert verify(VALID._replace(kid=kid), KEYS, 1, TARGET, 0) is Verdict.UNKNOWN_KEY
    assert verify(VALID._replace(kid=kid), (), 1, TARGET, 0) is Verdict.UNKNOWN_KEY


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.integers(1, 2**63 - 1))
def test_a_signed_url_carries_exactly_its_target(rest: str, tracker_id: int) -> None:
    key, target = new_key(), f"https://shop.example/{rest}"
    url = urlsplit(signed_url("https://tags.example/clktr?id=1", key, tracker_id, target, EXPIRY))
    query = {name: values[0].encode() for name, values in parse_qs(url.query).items()}
    assert (url.fragment, query["redir"]) == ("", target.encode())
    signature = Signature(query["sig"], query["exp"], query["kid"])
    assert verify(signature, [key], tracker_id, target.encode(), 0) is Verdict.VALID


def test_a_member_record_carries_its_keys_and_never_prints_them() -> None:
    record = MemberRecord(7, signing_keys=KEYS)
    assert MemberRecord.decode(record.encode()) == record
    assert "secret" not in repr(record)
    assert MemberRecord.decode(b'{"id":7}').signing_keys == ()
