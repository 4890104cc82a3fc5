"""Placeholders of every form are recognised wherever they stand, and values that only resemble one are not."""

from __future__ import annotations

import base64
import string
import time
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from onebyone.edge.tags import macros, query
from onebyone.edge.tags.flags import Flag
from onebyone.edge.tags.macros import FORMS
from onebyone.edge.tags.names import NAMES, REDIR
from tests.edge.tags.spellings import encode

EXAMPLES = sorted(example for form in FORMS for example in form.examples)
ENCODED = [
    variant
    for whole in EXAMPLES
    for variant in (whole, whole + b"?", *(encode(whole, times) for times in (1, 2, 3)), encode(whole + b"?"))
]
CLICK_MACROS = [
    *(b"%%CLICK_URL_UNESC%%", b"%%CLICK_URL_ESC%%", b"%%TTD_CLK_ESC3%%", b"%%c1;cpdir=", b"%%c1;cpdir=%%", b"%c"),
    *(
        b"${CLICK_URL}",
        b"${CLICK_URL_ENC}",
        b"{{url}}",
        b"{SA_CLICK_URL_ENC}",
        b"[CLICK_URL_ENCODED]",
        b"[[[CLICKURL]]]",
    ),
    *(
        b"[sas_creativeClickUrl]",
        b"__CLICK_URL__",
        b"|UR_ID|",
        b"%click_url_esc%",
        b"%ZZDCLICK%",
        b"$HTML_URL_ESC_CLICK_URL",
    ),
    *(b"INSERT_CLICKURL_HERE", b"[CLICKMACRO]?dest=", b"$$CLICK$$", b"*|CLICK|*"),
]


@pytest.mark.parametrize("name", sorted(NAMES), ids=bytes.decode)
def test_an_unreplaced_placeholder_counts_as_absent(name: bytes) -> None:
    for value in ENCODED:
        if b"&" in value:
            continue
        parameters = query.parse_parameters(b"x=1&" + name + b"=" + value)
        assert parameters == ({b"x": b"1"}, None, (Flag.MACRO_UNREPLACED,)), value


@pytest.mark.parametrize("whole", EXAMPLES, ids=bytes.decode)
def test_a_form_is_known_in_every_encoding(whole: bytes) -> None:
    assert all(macros.is_macro(encode(whole, times)) for times in range(4))
    assert macros.is_macro(encode(whole, every=True))
    assert macros.is_macro(whole + b"?")
    assert macros.is_macro(b"%20" + whole)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.systems)
def test_each_form_says_who_writes_it(form: macros.Form) -> None:
    assert form.examples
    assert form.systems


@pytest.mark.parametrize("click", CLICK_MACROS, ids=bytes.decode)
@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_click_macro_in_front_of_the_target_is_named(click: bytes, times: int) -> None:
    target = b"https://shop.example/?a=1"
    for front in (click, encode(click), encode(click, 2)):
        tag = query.parse_tag(b"id=1&redir=" + front + encode(target, times))
        assert tag.flags == (Flag.MACRO_UNREPLACED, Flag.CLICK_MACRO_UNREPLACED), front
        assert tag.tracker_id == 1
        assert tag.redir is not None


@pytest.mark.parametrize("click", CLICK_MACROS, ids=bytes.decode)
def test_a_target_with_a_click_macro_takes_the_rest_as_well(click: bytes) -> None:
    """What follows an unencoded target is the target's: it must not become the cost or consent of the event."""
    tail = click + b"HTTPS://shop.example/?a=1&ancost=9&consent=0&ID=3"
    tag = query.parse_tag(b"id=1&redir=" + tail)
    assert tag == query.parse_tag(b"id=1")._replace(
        redir=tail, flags=(Flag.MACRO_UNREPLACED, Flag.CLICK_MACRO_UNREPLACED)
    )


def test_parameters_after_an_encoded_target_with_a_click_macro_are_read() -> None:
    tag = query.parse_tag(b"redir=${CLICK_URL_ENC}https%3A%2F%2Fshop.example&id=7&ancost=1")
    assert (tag.tracker_id, tag.ancost) == (7, b"1")
    assert Flag.CLICK_MACRO_UNREPLACED in tag.flags


@pytest.mark.parametrize("click", CLICK_MACROS, ids=bytes.decode)
def test_a_click_macro_that_takes_the_target_as_a_parameter_is_named(click: bytes) -> None:
    click = click.partition(b"?")[0]
    tail = click + b"&redirect=https://shop.example/?a=1&ancost=9"
    for front, ancost in ((tail, None), (click + b"&redirect=https%3A%2F%2Fshop.example%2F&ancost=9", b"9")):
        tag = query.parse_tag(b"id=1&redir=" + front)
        assert tag.flags == (Flag.MACRO_UNREPLACED, Flag.CLICK_MACRO_UNREPLACED)
        assert tag.ancost == ancost
        assert tag.redir is not None
        assert tag.redir.startswith(click + b"&redirect=http")


def test_a_placeholder_before_other_parameters_is_no_click_macro() -> None:
    tag = query.parse_tag(b"id=1&redir=[REDIR]&cachebuster=https&ancost=9")
    assert (tag.redir, tag.ancost, tag.flags) == (None, b"9", (Flag.MACRO_UNREPLACED,))


@pytest.mark.parametrize(
    "redir",
    [
        *(
            b"https://a.example/?c=[X]",
            b"https://a.example/?u=%%X%%https://b.example",
            b"http%3A%2F%2Fa.example%2F%7Bx%7D",
        ),
        *(
            b"https://a.example/[X]https://b.example",
            b"/[X]",
            b"javascript:[X]",
            b"x[X]https://a.example",
            b"%68ttps://a.ex",
        ),
    ],
    ids=bytes.decode,
)
def test_a_target_that_contains_a_placeholder_is_left_alone(redir: bytes) -> None:
    tag = query.parse_tag(b"id=1&redir=" + redir)
    assert tag.flags == ()
    assert tag.redir


BASE64URL = st.binary(min_size=9, max_size=200).map(base64.urlsafe_b64encode).map(lambda text: text.rstrip(b"="))
TOKENS = st.text(string.ascii_letters + string.digits + "-_.~,:;/+@!*'()| ", min_size=1, max_size=40).map(str.strip)
REAL = st.one_of(
    st.integers(0, 10**20).map(str),
    st.decimals(0, 999_999, places=6).map(str),
    st.floats(0, 1).map(str),
    st.uuids().map(str),
    st.uuids().map(lambda number: f"{{{number}").map(lambda text: text[1:]),
    BASE64URL.map(bytes.decode),
    st.lists(BASE64URL.map(bytes.decode), min_size=2, max_size=4).map(".".join),
    st.lists(BASE64URL.map(bytes.decode), min_size=2, max_size=4).map(lambda parts: "DBACNYA~" + "~".join(parts)),
    st.from_regex(r"1[YN-]{3}", fullmatch=True),
    st.lists(st.integers(1, 99).map(str), min_size=1, max_size=3).map(",".join),
    TOKENS.map(lambda text: "5" + text),
    st.text(min_size=1, max_size=20).map(lambda text: "1" + text + "1"),
)


@given(REAL, st.sampled_from(sorted(NAMES - {REDIR})))
@example("5,3", b"cachebuster")
@example("5|3", b"cachebuster")
@example("100%", b"cachebuster")
@example("a[1]", b"cachebuster")
@example("1*2*3", b"cachebuster")
@example("$5", b"ancost")
@example("5$", b"ancost")
@example("$2b$10$abc", b"cachebuster")
@example("_a_", b"cachebuster")
@example("__", b"gdpr_consent")
@example("a__B__", b"gdpr_consent")
@example("__a-B__", b"gdpr_consent")
@example("here", b"cachebuster")
@example("#1", b"cachebuster")
@example("a@@b", b"cachebuster")
@example("a<b>", b"cachebuster")
@example("_ad_", b"cachebuster")
@example("inserted", b"cachebuster")
@example("insert_1234", b"cachebuster")
@example("ëuy!", b"cachebuster")
@example("Ê", b"cachebuster")
def test_a_real_value_is_no_placeholder(value: str, name: bytes) -> None:
    once = quote(value, safe="").encode()
    parameters = query.parse_parameters(name + b"=" + once)
    assert parameters == ({name: value.encode()}, None, ())
    twice = quote(once, safe="").encode()
    assert query.parse_parameters(name + b"=" + twice) == ({name: once}, None, ())


@pytest.mark.parametrize(
    "value", [b"5%2C3", b"%ff", b"%EB", b"%e4%", b"%E4%B8%", b"%41", b"%2541", b"%", b"%%", b"%zz1", b"%1"]
)
def test_escapes_are_no_placeholders(value: bytes) -> None:
    assert not macros.is_macro(value)


HARD = [
    b"[",
    b"]",
    b"{",
    b"}",
    b"${",
    b"%%",
    b"%n",
    b"%e",
    b"%ea!",
    b"__A",
    b"__a",
    b"_A",
    b"Aa",
    b"*|",
    b"|a",
    b"$a",
    b"$a(",
]
HARD += [
    b"insert_a",
    b"INSERT_A",
    b"_HERE",
    b" ",
    b"?",
    b"%25",
    b"%2525",
    b"https:",
    b"[X]https:",
    b"amp;",
    b"&amp;",
    b"=",
    b"&",
]


@pytest.mark.parametrize("unit", HARD, ids=bytes.decode)
@pytest.mark.parametrize("end", [b"", b"\n!", b"]", b"__", b"%"], ids=repr)
def test_the_time_is_linear_in_the_length(unit: bytes, end: bytes) -> None:
    value = unit * (20_000 // len(unit)) + end
    start = time.process_time()
    macros._PLACEHOLDER.fullmatch(value)
    for name in (b"redir", b"cachebuster"):
        query.parse_tag(b"id=1&" + name + b"=" + value)
        query.parse_tag(b"id=1&" + name + b"=" + value[: macros._LENGTH_MAX])
    query.parse_tag(value + b"=1")
    assert time.process_time() - start < 1
