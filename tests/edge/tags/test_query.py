"""Parsing the query string of a tag, case by case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onebyone.edge.tags import query
from onebyone.edge.tags.flags import Flag

ROWS: list[tuple[str, bytes, dict[bytes, bytes], bytes | None, bool]] = [
    ("empty", b"", {}, None, False),
    ("plain", b"id=1&t=2", {b"id": b"1", b"t": b"2"}, None, False),
    ("first wins", b"id=1&id=2", {b"id": b"1"}, None, False),
    ("no value", b"id=&t", {}, None, False),
    ("decoded once", b"cachebuster=%2541", {b"cachebuster": b"%41"}, None, False),
    ("tail", b"id=1&redir=http://a.example/?id=2&t=1", {b"id": b"1"}, b"http://a.example/?id=2&t=1", False),
    ("tail at the front", b"redir=HTTPS://a.example/&id=1", {}, b"HTTPS://a.example/&id=1", False),
    ("nested", b"redir=https://a.ex/?redir=https://b.ex", {}, b"https://a.ex/?redir=https://b.ex", False),
    ("encoded", b"redir=http%3A%2F%2Fa.example%2F%3Fx%3D1&id=1", {b"id": b"1"}, b"http://a.example/?x=1", False),
    ("encoded twice stays once", b"redir=http%253A%252F%252Fa.example", {}, b"http%3A%2F%2Fa.example", False),
    ("redir as the end of another name", b"xredir=http://a.example", {b"xredir": b"http://a.example"}, None, False),
    ("empty redir", b"id=1&redir=", {b"id": b"1"}, None, False),
    ("redir macro", b"id=1&redir=[REDIRECT_URL]", {b"id": b"1"}, None, True),
    ("encoded redir macro", b"redir=%24%7BCLICK%7D&id=1", {b"id": b"1"}, None, True),
    ("macro inside a target", b"redir=https://a.example/?c=[X]", {}, b"https://a.example/?c=[X]", False),
    ("a later value replaces a macro", b"t=[T]&t=1", {b"t": b"1"}, None, True),
    ("semicolon is no separator", b"id=1;t=2", {b"id": b"1;t=2"}, None, False),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "values", "redir", "macro"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_parse_parameters(raw: bytes, values: dict[bytes, bytes], redir: bytes | None, macro: bool) -> None:
    flags = (Flag.MACRO_UNREPLACED,) if macro else ()
    assert query.parse_parameters(raw) == query.Parameters(values, redir, flags)


@given(st.binary(max_size=300))
def test_any_bytes_are_accepted(raw: bytes) -> None:
    tracker_id = query.parse_tag(raw).tracker_id
    assert tracker_id is None or 0 < tracker_id < 2**63


PAIRS = st.sampled_from(
    [
        *b"id=531 id=0 id=07 t=1 t= ancost=.5 gdpr=1 x ? xcachebuster=c redir=[R] redir=".split(),
        *b"cachebuster=a1 cachebuster=b2 cachebuster= cachebuster=%41 cachebuster=[CB]".split(),
        *b"amp;id=532 i%64=533 ID=534 amp;amp;t=1 cachebuster=__CB__ cachebuster=%n #38;ancost=1".split(),
        b"redir=https://t.example/?a=b",
        b"redir=http%3A%2F%2Ft.example",
        b"cachebuster=" + b"a" * 65,
    ]
)


@given(st.lists(PAIRS, min_size=1, max_size=5).map(b"&".join) | st.from_regex(query.USUAL, fullmatch=True))
def test_the_usual_query_string_is_parsed_like_any_other(raw: bytes) -> None:
    assert query.parse_tag(raw) == query._parse_any(raw)
