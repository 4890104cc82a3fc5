"""Every spelling of every name of a parameter means the same as the usual one."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onebyone.edge.tags import names, query
from onebyone.edge.tags.flags import Flag
from onebyone.edge.tags.names import NAMES, REDIR
from tests.edge.tags.spellings import AMPERSANDS, spellings

VALUES = {b"id": b"531", b"t": b"1", b"ancost": b"0.5", b"us_privacy": b"1YYN", REDIR: b"https://a.example/?id=2&t=3"}
CASES = [(name, spelling) for name in sorted(NAMES) for spelling in spellings(name)]


def test_all_names_are_tried() -> None:
    assert len(NAMES) == 14
    assert all(names.decode_name(name) == name for name in NAMES)


@pytest.mark.parametrize(("name", "spelling"), CASES, ids=lambda part: part.decode())
def test_a_spelling_means_its_name(name: bytes, spelling: bytes) -> None:
    value = VALUES.get(name, b"1")
    for before in (b"", b"x=1&", b"cachebuster=7&" if name != b"cachebuster" else b"id=3&"):
        usual, spelled = before + name + b"=" + value, before + spelling + b"=" + value
        assert query.parse_tag(spelled) == query.parse_tag(usual)
        assert query.parse_tag(spelled).flags == ()


@pytest.mark.parametrize("escaped", AMPERSANDS, ids=bytes.decode)
def test_a_whole_tag_with_escaped_ampersands(escaped: bytes) -> None:
    pairs = [
        b"id=531",
        b"t=1",
        b"cachebuster=5%2C3",
        b"ancost=0.5",
        b"gdpr=1",
        b"consent=0",
        b"redir=http://a.example/?a&b",
    ]
    assert query.parse_tag((b"&" + escaped).join(pairs)) == query.parse_tag(b"&".join(pairs))


@pytest.mark.parametrize("name", sorted(NAMES), ids=bytes.decode)
@pytest.mark.parametrize("change", [bytes.upper, bytes.title, lambda name: name[:-1] + name[-1:].upper()])
@pytest.mark.parametrize("before", [b"", b"amp;", b"%2338;"], ids=bytes.decode)
def test_a_name_in_another_case_is_flagged_and_ignored(name: bytes, change: object, before: bytes) -> None:
    assert callable(change)
    odd = before + change(name) + b"=" + VALUES.get(name, b"1").partition(b"&")[0]
    parameters = query.parse_parameters(b"x=1&" + odd)
    assert parameters.flags == (Flag.NAME_CASE,)
    assert name not in parameters.values
    assert parameters.redir is None


@pytest.mark.parametrize(
    "raw", [b"ID", b"ID=", b"x=1&T=", b"ident=1", b"amp=1", b"ampt=1", b"amp;x=1", b"CB=1", b"AMP;=1"]
)
def test_what_is_no_known_name_has_no_flag(raw: bytes) -> None:
    assert query.parse_tag(raw) == query.parse_tag(b"")


@pytest.mark.parametrize(
    "first", [b"redir", b"%72edir", b"amp;redir", b"amp%3Bredi%72", b"#x26;redir"], ids=bytes.decode
)
def test_the_first_redir_in_any_spelling_takes_the_raw_rest(first: bytes) -> None:
    for second in (b"&redir=https://b.example/", b"&amp;redir=https://b.example/", b"&amp;id=9&%69d=8"):
        tail = b"https://a.example/?a=%41" + second
        for before in (b"", b"id=1&"):
            tag = query.parse_tag(before + first + b"=" + tail)
            assert tag.redir == tail
            assert tag.tracker_id == (1 if before else None)


def test_the_first_spelling_of_a_repeated_name_wins() -> None:
    for first, second in product([b"id", *spellings(b"id")[:6]], repeat=2):
        assert query.parse_tag(first + b"=1&" + second + b"=2").tracker_id == 1


@given(st.binary(max_size=60))
def test_any_name_is_accepted(raw: bytes) -> None:
    name = names.decode_name(raw)
    assert names.differs_in_case(name) == (name not in NAMES and name.lower() in NAMES)


@given(st.text("ab%=&;#x26amp3BidtT_", max_size=40).map(str.encode))
def test_the_plain_parser_reads_what_the_decoding_one_reads(raw: bytes) -> None:
    assert query._parse_plain(raw) in (None, query._parse_decoding(raw))
