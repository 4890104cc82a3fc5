"""Counting lines by their parts gives what parsing every record gives, whatever the lines hold."""

from __future__ import annotations

import asyncio
import itertools
from ipaddress import IPv4Network
from typing import Any, cast

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onebyone.contracts import batches
from onebyone.contracts.configuration import MemberRecord
from onebyone.contracts.events import Kind
from onebyone.counter import counting, event_parts
from onebyone.counter.classification.agents import AgentClassifier
from onebyone.counter.classification.classifier import Classifier
from onebyone.counter.classification.network_ranges import NetworkRanges
from onebyone.counter.classification.remembered_classes import RememberedClasses
from onebyone.counter.classification.robots import RobotList
from onebyone.counter.counting import BatchTotals
from onebyone.counter.event_parts import EventParts
from onebyone.counter.shared_sums import TS_END, SharedSums
from onebyone.counter.terms import site_domain
from onebyone.edge.configuration.cache import ConfigCache, Tracker
from onebyone.edge.journal.group_commit import GroupCommit
from onebyone.edge.recorder import Recorder
from onebyone.edge.tags import client, query
from onebyone.edge.tags.proxy_retries import Sighting
from onebyone.settings import Settings
from tests.counter.test_poison import BAD_RECORDS, HOSTILE
from tests.edge.edge_process import tracker
from tests.support import record_v1
from tests.support.payloads import members

NAME = ("00000000000000aa", 1, 1)
TS = 1_790_000_000_000
AGENT = b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
TERMS: list[Any] = [
    {},
    {"pricing_type": "cpm", "revenue_value": 2_500_000, "cost_cpm": 1_250_000, "revshare": 0},
    {"pricing_type": "cpc", "revenue_value": 333_333, "revshare": 123_457},
    {"pricing_type": "cost_plus_cpm", "revenue_value": 7, "cost_cpm": 11},
    {"pricing_type": "cost_plus_margin", "revenue_value": 333_333, "commission_cpm": 5, "commission_revshare": 9},
]
INACTIVE = len(TERMS) + 1
TRACKERS = range(1, INACTIVE + 1)


class Encoder:
    """The part of an edge that turns requests into event lines."""

    def __init__(self) -> None:
        cache = ConfigCache(cast(Any, None), 100, None)
        for number, kind in itertools.product(TRACKERS, ("imp", "clk")):
            record = tracker(kind, number, active=number != INACTIVE, terms=TERMS[number % len(TERMS)])
            trackers = cache.impressions if kind == "imp" else cache.clicks
            trackers.store(number, Tracker.decode(record.encode()))
        cache.members.store(7, MemberRecord(7))
        self._recorder = Recorder(Settings(), cache, cast(GroupCommit, None), asyncio.Event())

    def line(self, kind: Kind, raw: bytes, headers: dict[bytes, bytes], network: bytes, more: Any = ()) -> bytes:
        method, sighting = more or ("GET", Sighting(b"", False))
        page = headers.get(b"referer")
        referrer = b"" if page is None else client.referrer_member(page)
        sender = client.parse_client(headers)
        recorder = self._recorder
        _, line = recorder.decide_proxied(sighting, kind, query.parse_tag(raw), sender, referrer, network, method)
        assert line is not None
        return line


ENCODER = Encoder()
ROBOTS = (b"curl/8.11.0", b"Googlebot/2.1 (+http://www.google.com/bot.html)", "Éclair-bot/1".encode(), b"")
IP = client.network_member("203.0.113.9")
SERVERS = client.network_member("198.51.100.9")
CLASSIFIER = Classifier(AgentClassifier(RobotList()), NetworkRanges([IPv4Network("198.51.100.0/24")]), ())
USUAL = {b"user-agent": AGENT, b"referer": b"https://news.example/section/1"}


def line(kind: Kind = "imp", more: bytes = b"", network: bytes = IP, **headers: bytes) -> bytes:
    return ENCODER.line(kind, b"id=2&cachebuster=123" + more, {**USUAL, **_named(headers)}, network)


def _named(headers: dict[str, bytes]) -> dict[bytes, bytes]:
    return {name.replace("_", "-").encode(): value for name, value in headers.items()}


def by_parts(parts: EventParts, text: bytes, classes: RememberedClasses | None = None) -> BatchTotals:
    totals = BatchTotals(0, parts=parts, classes=classes)
    totals.add([(b"5-1", _entry(text))], {})
    return totals


def by_records(text: bytes, classes: RememberedClasses | None = None) -> BatchTotals:
    totals = BatchTotals(0, classes=classes)
    totals._shared.add = lambda group: list(range(len(group.lines)))  # type: ignore[method-assign]
    totals.add([(b"5-1", _entry(text))], {})
    return totals


def _entry(text: bytes) -> dict[bytes, bytes]:
    lines = text.split(b"\n")
    number = len(lines) - (sum(line[:1] == b"[" for line in lines) if text[:1] == b"[" else 0)
    batch = batches.Batch(NAME[0], 1, number, batches.pack(lines))
    fields = batches.to_entry(batch)
    return {k.encode(): v if isinstance(v, bytes) else str(v).encode() for k, v in fields.items()}


def told(totals: BatchTotals) -> dict[str, Any]:
    """Return everything that a transaction would be told, in an order that does not matter to it."""
    public = {name: value for name, value in vars(totals).items() if name[0] != "_" and name != "now"}
    letters = [{**letter, "found_at": 0} for letter in totals.dead_letters]
    archive = [{**row, "first_ts": 0 if row["first_ts"] == totals.now else row["first_ts"]} for row in totals.archive]
    return {
        **public,
        "hours": totals.hours,
        "kinds": totals.kinds,
        "clicks": sorted(totals.clicks, key=repr),
        "proxy_requests": sorted(totals.proxy_requests),
        "dead_letters": sorted(letters, key=repr),
        "archive": archive,
    }


def group(*lines: bytes, version: int = 2, first_id: int = 7, ts: int = TS) -> bytes:
    return b"\n".join((batches.head_line(first_id, ts, version), *lines))


def left_to_the_checking_way(*lines: bytes) -> list[int]:
    """Return the indexes of the lines that are not counted by their parts."""
    sums = SharedSums(EventParts(), [], [])
    return sums.add(batches.Group(2, 7, TS, list(lines)))


PARSED_AGENT = line(user_agent=b'My "new"bot/1.0')
COMMON: dict[str, bytes] = {
    "impression": line(),
    "script": line(more=b"&t=1"),
    "click": line("clk"),
    "cost": line(more=b"&ancost=0.25"),
    "invalid cost": line(more=b"&ancost=x"),
    "placeholder": line(more=b"&ancost=[PRICE]"),
    "no cachebuster": ENCODER.line("imp", b"id=2", USUAL, IP),
    "cachebuster with dashes": ENCODER.line("imp", b"id=2&cachebuster=a-b_c", USUAL, IP),
    "no page": ENCODER.line("imp", b"id=2&cachebuster=1", {b"user-agent": AGENT}, IP),
    "no agent": ENCODER.line("imp", b"id=2&cachebuster=1", {b"referer": b"https://a.example/"}, IP),
    "only a network": ENCODER.line("clk", b"id=1", {}, IP),
    "unknown address": line(network=client.UNKNOWN_NETWORK),
    "IPv6": line(network=client.network_member("2001:db8::1")),
    "consent": line(more=b"&gdpr=1&gdpr_consent=CPxA&us_privacy=1YNN"),
    "opted out click": line("clk", sec_gpc=b"1"),
    "prefetch": line(sec_purpose=b"prefetch"),
    "inactive": ENCODER.line("clk", b"id=%d&cachebuster=1" % INACTIVE, USUAL, IP),
    "refused redirect": line("clk", b"&redir=https://elsewhere.example/"),
    "page in UTF-8": line(referer="https://a.example/é".encode()),
    "agent in UTF-8": line(user_agent="Mozilla/5.0 (é)".encode()),
    "request of a proxy": ENCODER.line("imp", b"id=2", USUAL, IP, ("GET", Sighting(b"0123456789abcdef", False))),
    "retry of a proxy": ENCODER.line("clk", b"id=2", USUAL, IP, ("HEAD", Sighting(b"0123456789abcdef", True))),
}


@pytest.mark.parametrize("name", COMMON)
def test_what_an_edge_writes_is_counted_without_parsing(name: str) -> None:
    assert left_to_the_checking_way(COMMON[name], line()) == []


CLASSIFIED: list[tuple[bytes, str]] = [
    (line(), ""),
    (line(network=SERVERS), "data_center"),
    (line("clk", network=SERVERS, user_agent=b"curl/8.11.0"), "http_library"),
    (line(more=b"&ancost=0.25", user_agent=b"Googlebot/2.1 (+http://www.google.com/bot.html)"), "search_engine"),
    (line(user_agent=b"x" * 9000), "non_browser"),
    (line(sec_purpose=b"prefetch", network=SERVERS, user_agent=b"curl/8.11.0"), "prefetch"),
    (ENCODER.line("imp", b"id=2&cachebuster=1", {}, IP), "no_agent"),
    (ENCODER.line("clk", b"id=2", {b"user-agent": AGENT}, client.UNKNOWN_NETWORK), ""),
    (PARSED_AGENT, "robot"),
]


@pytest.mark.parametrize(("written", "reason"), CLASSIFIED)
def test_a_class_is_the_reason_of_an_event_without_one_and_changes_nothing_else(written: bytes, reason: str) -> None:
    for warm in (False, True):
        classes = RememberedClasses(CLASSIFIER)
        if warm:
            # What is known of agent and network must not hide the class of the other.
            by_parts(WARM, group(*(text for text, _ in CLASSIFIED)), classes)
        text = group(*[written] * 3)
        plain, classified = told(by_parts(WARM, text)), told(by_parts(WARM, text, classes))
        assert {key[2] for key in classified["hours"]} == {reason}
        assert [*classified.pop("hours").values()] == [*plain.pop("hours").values()], "cost and revenue stay"
        assert classified == plain, "a click stays in the feed"
        assert told(by_records(text, classes))["hours"].keys() == told(by_parts(WARM, text, classes))["hours"].keys()


def test_memory_of_classes_is_bounded() -> None:
    classes = RememberedClasses(CLASSIFIER, 8, 8)
    for number in range(100):
        classes.classify(AGENT + b"%d" % number, b"203.0.%d.0" % number)
        classes.classify(AGENT + b" %d" % number * 1000, b"7" * 1000)
    assert (len(classes.agents), len(classes.networks)) <= (8, 8)
    assert max(map(len, classes.agents)) < 200
    assert max(map(len, classes.networks)) < 20


PARSED: dict[str, bytes] = {
    "escape in the page": line(referer=b'https://a.example/"'),
    "control byte in the agent": line(user_agent=b"a\tb"),
    "a member that this release does not know": line() + b',"new":1',
    "no JSON": line()[:-1],
}


@pytest.mark.parametrize("name", PARSED)
def test_other_lines_are_left_to_the_way_that_checks(name: str) -> None:
    assert left_to_the_checking_way(line(), PARSED[name], line()) == [1]


def test_groups_that_no_edge_writes_are_left_whole() -> None:
    sums = SharedSums(EventParts(), [], [])
    for version, first_id, ts in ((1, 7, TS), (3, 7, TS), (2, 2**63 - 1, TS), (2, 7, TS_END)):
        assert sums.add(batches.Group(version, first_id, ts, [line(), line()])) == [0, 1]
    assert sums.add(batches.Group(2, 2**63 - 2, TS_END - 1, [line(), line()])) == []


def test_money_of_many_events_is_exact() -> None:
    text = group(*[line(more=b"&ancost=0.000333")] * 999, *[line()] * 500, *[line("clk")] * 7)
    totals = by_parts(EventParts(), text)
    assert told(totals) == told(by_records(text))
    assert totals.hours[TS // 3_600_000, *next(iter(totals.hours))[1:]][0] == 1499


def test_memory_is_bounded() -> None:
    parts = EventParts(heads=8, tails=8)
    for number in range(100):
        record = tracker("imp", number)
        parts.fragment(b'"kind":"imp","tracker_id":%d' % record.id)
        parts.tail(b'ancost":%d' % number)
        parts.tail(b'gdpr_consent":"%d%s"' % (number, b"x" * event_parts.TAIL_BYTES))
    assert (len(parts._heads), len(parts.tails)) <= (8, 8)
    assert all(len(text) <= event_parts.TAIL_BYTES for text in parts.tails)


# Every byte that means something to JSON or to a cut, in any place.
PIECES = [
    *(b'"|\\|,|{|}|[|]|:|\n|\r|\t|\0|\x7f|\xff|\xc3\xa9|\xc3|\xed\xa0\x80| |-|1|e9|null|true'.split(b"|")),
    *(b'\\u0041|\\"|\\\\|\\ud800|","ip":"'.split(b"|")),
    *(b',"ip":"1"|,"ua":"x"|,"ref":"http://r.example/"|,"cb":"1"|","ua":"|","ref":"|","cb":"|","'.split(b"|")),
    *(b',"ancost":5|,"ancost":-1|,"ancost":1000000000000|,"ancost":null|,"ancost":1.0|,"reason":"head"'.split(b"|")),
    *(b',"reason":null|,"reason":"NO"|,"requests":3|,"requests":null|,"bucket":900|,"bucket":1|,"terms":{}'.split(b"|")),
    *(b',"id":5|,"ts":0|,"v":1|,"v":3|,"kind":"clk"|,"kind":"imp"|,"tracker_id":9|,"member_id":-1'.split(b"|")),
    *(b',"rid":"0123456789abcdef"|,"rid":"0123456789abcde\xc3"|,"rid":7|,"user_id":-1|,"user_id":"x"'.split(b"|")),
    *(b',"flags":["a","b"]|,"new":{"a":[1]}|,"gpc":1|,"gdpr":"1"|,"test":"t"|,"view":"x"|,"act":"view"'.split(b"|")),
]  # fmt: skip


@pytest.mark.parametrize("name", ["impression", "click", "cost", "consent", "no page", "request of a proxy"])
def test_any_piece_in_any_place_is_counted_as_a_parser_counts_it(name: str) -> None:
    written = COMMON[name]
    places = sorted({at + after for at in range(len(written)) if written[at] in b'",' for after in (0, 1)})
    parts = EventParts()
    for piece in PIECES:
        # A line feed would make the next line a different one.
        text = group(*(written[:at] + piece + written[at:] for at in places if piece != b"\n"), written)
        assert told(by_parts(parts, text)) == told(by_records(text)), piece


TEXTS = st.one_of(
    st.sampled_from(
        [AGENT, *ROBOTS, b"https://news.example/1", b"https://u:p@\xc3\xa9.example:8/?q#f", b"http:a", b"1"]
    ),
    st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=4).map(b"".join),
    st.text(max_size=8).map(lambda text: text.encode("utf-8", "surrogatepass")),
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        b"user-agent": TEXTS,
        b"referer": TEXTS,
        b"sec-gpc": st.just(b"1"),
        b"sec-purpose": st.sampled_from([b"prefetch", b"prefetch;prerender", b"preview"]),
        b"sec-fetch-dest": st.sampled_from([b"script", b"iframe"]),
    },
)
PARAMETERS = st.lists(
    st.sampled_from(
        b"t=1 t=2 ancost=0.25 ancost=1.234567 ancost=x ancost=[P] gdpr=1 gdpr_consent=CP_x gpp=%22%5C us_privacy=1YY "
        b"consent=0 gpp_sid=7 CACHEBUSTER=1 redir=https://a.example/".split()
    )
    | st.tuples(st.sampled_from([b"cachebuster", b"gdpr_consent", b"ancost"]), TEXTS).map(b"=".join),
    max_size=4,
).map(b"&".join)
WRITTEN = st.builds(
    lambda kind, number, parameters, *rest: ENCODER.line(kind, b"id=%d&%b" % (number, parameters), *rest),
    st.sampled_from(["imp", "clk"]),
    st.sampled_from(TRACKERS),
    PARAMETERS,
    HEADERS,
    st.sampled_from([IP, SERVERS, client.network_member("2001:db8::1"), client.UNKNOWN_NETWORK]),
    st.tuples(
        st.sampled_from(["GET", "HEAD"]),
        st.builds(Sighting, st.sampled_from([b"", b"0123456789abcdef"]), st.booleans()),
    ),
)


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """Put pieces into a line or in place of something, mostly where a member begins."""
    text = draw(WRITTEN | st.sampled_from([*COMMON.values()]))
    for _ in range(draw(st.integers(1, 2))):
        starts = [at for at in range(len(text)) if text[at : at + 2] == b',"'] or [0]
        start = draw(st.sampled_from(starts) | st.integers(0, len(text)) | st.just(len(text)))
        end = draw(
            st.sampled_from([start, start, *(at for at in starts if at > start)]) | st.integers(start, len(text))
        )
        text = text[:start] + draw(st.sampled_from(PIECES)) + text[end:]
    return text


HARMLESS = {"kind": "imp", **dict.fromkeys(event_parts.KEY[2:], 1), "member_id": 1}
FORGED = st.sampled_from(
    [
        *(members(record) if isinstance(record, dict) else record for record, _ in BAD_RECORDS.values()),
        *(members({**HARMLESS, **changes}) for changes in HOSTILE.values()),
    ]
)  # fmt: skip
USUALLY = st.sampled_from([*COMMON.values()])
LINES = st.lists(st.one_of(WRITTEN, changed(), changed(), FORGED, USUALLY, USUALLY, USUALLY), max_size=6)
GROUPS = st.builds(
    lambda lines, version, first_id, ts: group(*lines, version=version, first_id=first_id, ts=ts),
    LINES,
    st.sampled_from([2] * 20 + [1, 3]),
    st.sampled_from([7] * 20 + [2**63 - 3]),
    st.sampled_from([TS, TS + 5, TS + 3_600_000, 0, TS_END - 1] * 4 + [TS_END]),
)
WARM, FULL = EventParts(), EventParts(heads=2, tails=2)
CLASSES, FULL_CLASSES = RememberedClasses(CLASSIFIER), RememberedClasses(CLASSIFIER, 2, 2)
"""Memories that last over all cases: one keeps everything, the other hardly anything."""


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(GROUPS, min_size=1, max_size=3).map(b"\n".join))
def test_both_ways_count_the_same(text: bytes) -> None:
    expected = told(by_records(text))
    for parts in (EventParts(), WARM, WARM, FULL):
        assert told(by_parts(parts, text)) == expected
    # The definition asks the lists for each event; the memories are of all cases before, one of them far too small.
    expected = told(by_records(text, RememberedClasses(CLASSIFIER, 1, 1)))
    for classes in (RememberedClasses(CLASSIFIER), CLASSES, CLASSES, FULL_CLASSES):
        assert told(by_parts(WARM, text, classes)) == expected


def test_both_ways_count_the_same_of_the_older_release() -> None:
    texts = [batches._decompressor.decompress(entry[b"z"])[:-1] for entry in record_v1.read_stream_entries()]
    assert len(texts) == record_v1.SHIPPED - record_v1.COUNTED
    for text in (*texts, b"\n".join(line for line in texts if line[:1] == b"{")):
        assert told(by_parts(WARM, text)) == told(by_records(text))


PAGES = st.lists(
    st.sampled_from(b"http :// : / // ? # @ . .. a.example A.EXAMPLE 127.1 0x7f %41 [::1] 80 xn-- \xc3\xa9".split())
    | st.sampled_from([b" ", b"~", b"|"]),
    max_size=8,
).map(b"".join)  # fmt: skip


@settings(max_examples=1000)
@given(st.sampled_from([b"", b"http://", b"HTTPS://", b"https:/", b"https:///"]), PAGES)
def test_the_site_of_a_page_does_not_depend_on_its_path(scheme: bytes, page: bytes) -> None:
    assert event_parts.page_domain(scheme + page) == site_domain((scheme + page).decode())


def test_what_costs_more_closes_a_transaction_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "EVENTS_PER_COMMIT", 100)
    taken = {}
    for kind, text in {"imp": line(), "clk": line("clk"), "parsed": PARSED["escape in the page"], "bad": b"{"}.items():
        totals = BatchTotals(0, parts=EventParts())
        fields = _entry(group(*[text] * 10))
        totals.add(((b"5-%d" % seq, {**fields, b"s": b"%d" % seq}) for seq in range(1, 100)), {})
        taken[kind] = totals.entries
    assert taken == {"imp": 10, "clk": 2, "parsed": 2, "bad": 3}


def test_the_archive_of_a_batch_is_of_its_least_time() -> None:
    text = b"\n".join((group(b"bad", ts=5), group(line(), ts=TS + 9), group(line(), line()[:-1], ts=TS + 8)))
    assert [row["first_ts"] for row in by_parts(EventParts(), text).archive] == [TS + 8]
    assert orjson.dumps(sorted(letter["line"] for letter in by_parts(WARM, text).dead_letters)) == b"[0,3]"
