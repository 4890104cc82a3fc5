"""Each row of the edge contract over a real socket, on both paths into the edge: the response and the event."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from onebyone.clock import now_ms
from onebyone.contracts.configuration import MemberRecord
from onebyone.contracts.events import Terms
from onebyone.edge.tags.responses import GIF_BODY
from tests.edge.edge_process import AS_OF, EdgeProcess, Publisher, shipped, tracker
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import wait_until

LANDING = "https://landing.example/offer?a=1&b=2"
OTHER = "https://landing.example/other?x=1&y=2;z"
STRANGER = "https://stranger.example/a?b=c"

NO_STORE = {
    "cache-control": "no-store, no-cache, must-revalidate, private, max-age=0",
    "pragma": "no-cache",
    "expires": "0",
    "cross-origin-resource-policy": "cross-origin",
    "access-control-allow-origin": "*",
    "x-content-type-options": "nosniff",
}


class Served(NamedTuple):
    """A running edge with the trackers of this module."""

    process: EdgeProcess
    valkey: ValkeyProcess


@pytest.fixture(scope="module", params=["fast", "asgi"])
def served(
    request: pytest.FixtureRequest, module_valkey: ValkeyProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    publisher = Publisher(module_valkey)
    publisher.publish(
        MemberRecord(7, redirect_domains=("partner.example",), click_hosts=("landing.example",)),
        MemberRecord(8, redirect_policy="any"),
        tracker("imp", 531),
        tracker("imp", 532, active=False),
        tracker("imp", 533, terms=Terms(cost_cpm=2_500_000)),
        tracker("clk", 1, click_url=LANDING),
        tracker("clk", 2, click_url=LANDING, active=False),
        tracker("clk", 3),
        tracker("clk", 4, member_id=8),
    )
    process = EdgeProcess(tmp_path_factory.mktemp("edge"), module_valkey.url, edge_http=request.param)
    process.start()
    yield Served(process, module_valkey)
    process.stop()
    process.listener.close()


GIF, JS, HTML, NONE = "image/gif", "application/javascript", "text/html; charset=utf-8", None

PRERENDER = {"sec_purpose": "prefetch;prerender"}
FRAME = {"sec_fetch_dest": "iframe", "sec_fetch_site": "cross-site"}

REFUSED = "recorded; redirect=refused"

ROWS: list[tuple[str, str, dict[str, str], int, str | None, str | None, str]] = [
    # name, path, request headers, status, content type, location, x-onebyone
    ("image", "/imptr?id=531&t=2", {}, 200, GIF, None, "recorded"),
    ("no t", "/imptr?id=531", {}, 200, GIF, None, "recorded"),
    ("other t", "/imptr?id=531&t=7", {}, 200, GIF, None, "recorded"),
    ("script", "/imptr?id=531&t=1", {}, 200, JS, None, "recorded"),
    ("script by browser", "/imptr?id=531", {"sec_fetch_dest": "script"}, 200, JS, None, "recorded"),
    ("t wins over browser", "/imptr?id=531&t=2", {"sec_fetch_dest": "script"}, 200, GIF, None, "recorded"),
    ("leading zeros", "/imptr?id=0531", {}, 200, GIF, None, "recorded"),
    ("first id wins", "/imptr?id=531&id=999", {}, 200, GIF, None, "recorded"),
    ("imp redir approved", f"/imptr?id=531&redir={OTHER}", {}, 302, NONE, OTHER, "recorded"),
    ("imp script redir", f"/imptr?id=531&t=1&redir={OTHER}", {}, 302, NONE, OTHER, "recorded"),
    ("imp redir refused", f"/imptr?id=531&redir={STRANGER}", {}, 200, GIF, None, REFUSED),
    ("inactive imp", "/imptr?id=532", {}, 200, GIF, None, "ignored; reason=inactive"),
    ("unknown imp", "/imptr?id=999", {}, 200, GIF, None, "ignored; reason=unknown_id"),
    ("click tracker is no imp tracker", "/imptr?id=1", {}, 200, GIF, None, "ignored; reason=unknown_id"),
    ("no id", "/imptr", {}, 200, GIF, None, "ignored; reason=bad_id"),
    ("empty id", "/imptr?id=", {}, 200, GIF, None, "ignored; reason=bad_id"),
    ("text id", "/imptr?id=abc&t=1", {}, 200, JS, None, "ignored; reason=bad_id"),
    ("signed id", "/imptr?id=+531", {}, 200, GIF, None, "ignored; reason=bad_id"),
    ("negative id", "/imptr?id=-531", {}, 200, GIF, None, "ignored; reason=bad_id"),
    ("exponent id", "/imptr?id=5e2", {}, 200, GIF, None, "ignored; reason=bad_id"),
    ("blank id", "/imptr?id=%20531", {}, 200, GIF, None, "ignored; reason=bad_id"),
    ("Arabic digits", "/imptr?id=%D9%A5%D9%A3%D9%A1", {}, 200, GIF, None, "ignored; reason=bad_id"),
    ("id beyond 63 bit", "/imptr?id=9223372036854775808", {}, 200, GIF, None, "ignored; reason=bad_id"),
    ("id zero", "/imptr?id=0", {}, 200, GIF, None, "ignored; reason=bad_id"),
    ("macro as id", "/imptr?id=[ID]", {}, 200, GIF, None, "ignored; reason=bad_id"),
    ("upper-case names", "/imptr?ID=531", {}, 200, GIF, None, "ignored; reason=bad_id"),
    ("prefetched imp", "/imptr?id=531", {"sec_purpose": "prefetch"}, 200, GIF, None, "ignored; reason=prefetch"),
    ("prerendered imp", "/imptr?id=531&t=1", PRERENDER, 200, JS, None, "ignored; reason=prerender"),
    ("old prefetch", "/imptr?id=531", {"purpose": "prefetch"}, 200, GIF, None, "ignored; reason=prefetch"),
    ("prefetched imp redir", f"/imptr?id=531&redir={OTHER}", {"x_moz": "prefetch"}, 302, NONE, OTHER,
     "ignored; reason=prefetch"),
    ("held frame", "/imptr?id=531", {**PRERENDER, **FRAME}, 200, GIF, None, "recorded"),
    ("held frame with the old header", "/imptr?id=531", {**PRERENDER, **FRAME, "purpose": "prefetch"}, 200, GIF, None,
     "recorded"),
    ("frame of the same origin", "/imptr?id=531", {**PRERENDER, **FRAME, "sec_fetch_site": "same-origin"}, 200, GIF,
     None, "ignored; reason=prerender"),
    ("prerendered document", "/imptr?id=531", {**PRERENDER, **FRAME, "sec_fetch_dest": "document"}, 200, GIF, None,
     "ignored; reason=prerender"),
    ("preview of an imp", "/imptr?id=531", {"x_purpose": "preview"}, 200, GIF, None, "recorded"),
    ("prefetched click", "/clktr?id=1", {"sec_purpose": "prefetch"}, 425, HTML, None, "ignored; reason=prefetch"),
    ("prerendered click", "/clktrb?id=1", PRERENDER, 425, HTML, None, "ignored; reason=prerender"),
    ("moz prefetch", "/clktr?id=1", {"x_moz": "prefetch"}, 425, HTML, None, "ignored; reason=prefetch"),
    ("prefetched click in a frame", "/clktr?id=1", {**PRERENDER, **FRAME}, 425, HTML, None,
     "ignored; reason=prerender"),
    ("prefetched click redir", f"/clktr?id=1&redir={OTHER}", {"purpose": "prefetch"}, 425, HTML, None,
     "ignored; reason=prefetch"),
    ("prefetched click, policy any", f"/clktr?id=4&redir={STRANGER}", PRERENDER, 425, HTML, None,
     "ignored; reason=prerender"),
    ("prefetched click without a target", "/clktr?id=3", PRERENDER, 425, HTML, None, "ignored; reason=prerender"),
    ("prefetched inactive click", "/clktr?id=2", PRERENDER, 425, HTML, None, "ignored; reason=inactive"),
    ("prefetched unknown click", "/clktr?id=999", PRERENDER, 404, HTML, None, "ignored; reason=unknown_id"),
    ("preview of a click", "/clktr?id=1", {"purpose": "preview"}, 302, NONE, LANDING, "recorded"),
    ("click", "/clktr?id=1", {}, 302, NONE, LANDING, "recorded"),
    ("clktrb", "/clktrb?id=1&t=2", {}, 302, NONE, LANDING, "recorded"),
    ("click redir wins", f"/clktrb?id=1&cachebuster=9&redir={OTHER}", {}, 302, NONE, OTHER, "recorded"),
    ("click redir domain", "/clktr?id=1&redir=http://a.partner.example", {}, 302, NONE,
     "http://a.partner.example", "recorded"),
    ("domain itself", "/clktr?id=1&redir=https://partner.example/", {}, 302, NONE,
     "https://partner.example/", "recorded"),
    ("not by suffix", "/clktr?id=1&redir=https://evilpartner.example/", {}, 302, NONE, LANDING, REFUSED),
    ("encoded redir", "/clktr?id=1&redir=https%3A%2F%2Flanding.example%2Fx%3Fy%3D1%2526z", {}, 302, NONE,
     "https://landing.example/x?y=1%26z", "recorded"),
    ("redir first, encoded", "/clktr?redir=https%3A%2F%2Flanding.example%2F&id=1", {}, 302, NONE,
     "https://landing.example/", "recorded"),
    ("redir refused, click url", f"/clktr?id=1&redir={STRANGER}", {}, 302, NONE, LANDING, REFUSED),
    ("redir macro", "/clktr?id=1&redir=[REDIRECT_URL]", {}, 302, NONE, LANDING, "recorded"),
    ("redir after an escaped ampersand", f"/clktr?id=1&amp;redir={OTHER}", {}, 302, NONE, OTHER, "recorded"),
    ("redir with an encoded name", f"/clktr?i%64=1&%72edir={OTHER}", {}, 302, NONE, OTHER, "recorded"),
    ("redir after a click macro", f"/clktr?id=1&redir=${{CLICK_URL}}{OTHER}", {}, 302, NONE, LANDING, REFUSED),
    ("escaped ampersand before id", "/imptr?t=1&amp;id=531", {}, 200, JS, None, "recorded"),
    ("inactive click", "/clktr?id=2", {}, 302, NONE, LANDING, "ignored; reason=inactive"),
    ("no target", "/clktr?id=3", {}, 200, HTML, None, "recorded"),
    ("only redir", f"/clktr?id=3&redir={OTHER}", {}, 302, NONE, OTHER, "recorded"),
    ("notice page", f"/clktr?id=3&redir={STRANGER}", {}, 200, HTML, None, REFUSED),
    ("javascript target", "/clktr?id=3&redir=javascript:alert(1)", {}, 200, HTML, None, REFUSED),
    ("policy any", f"/clktr?id=4&redir={STRANGER}", {}, 302, NONE, STRANGER, "recorded"),
    ("policy any, userinfo", "/clktr?id=4&redir=https://a@stranger.example/", {}, 200, HTML, None, REFUSED),
    ("unknown click", f"/clktr?id=999&redir={OTHER}", {}, 404, HTML, None, "ignored; reason=unknown_id"),
    ("bad click id", f"/clktr?id=x&redir={OTHER}", {}, 404, HTML, None, "ignored; reason=bad_id"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "headers", "status", "content_type", "location", "verdict"),
    [row[1:] for row in ROWS],
    ids=[row[0] for row in ROWS],
)
def test_contract_row(
    served: Served,
    path: str,
    headers: dict[str, str],
    status: int,
    content_type: str | None,
    location: str | None,
    verdict: str,
) -> None:
    response = served.process.get(path, **headers)
    assert response.status_code == status
    assert response.headers.get("content-type") == content_type
    assert response.headers.get("location") == location
    assert response.headers["x-onebyone"] == verdict
    assert {name: response.headers.get(name) for name in NO_STORE} == NO_STORE
    if content_type == GIF:
        assert response.content == GIF_BODY


@pytest.mark.parametrize("path", ["/imptr?id=531", "/clktr?id=1", "/clktr?id=3"])
def test_head_gets_the_headers_of_get_and_is_not_counted(served: Served, path: str) -> None:
    get, head = served.process.get(path), served.process.get(path, "HEAD")
    assert head.status_code == get.status_code
    assert head.content == b""
    assert head.headers["x-onebyone"] == "ignored; reason=head"
    assert head.headers.get("location") == get.headers.get("location")
    assert head.headers["content-length"] == get.headers["content-length"]


KEPT: list[tuple[str, str, str, dict[str, str], str]] = [
    ("inactive imp", "GET", "/imptr?id=532", {}, "inactive"),
    ("inactive click", "GET", "/clktr?id=2", {}, "inactive"),
    ("head", "HEAD", "/imptr?id=531", {}, "head"),
    ("head of a click", "HEAD", "/clktr?id=1", {}, "head"),
    ("head of what is inactive", "HEAD", "/clktr?id=2", {}, "inactive"),
    ("prefetched imp", "GET", "/imptr?id=531&t=1", {"sec_purpose": "prefetch"}, "prefetch"),
    ("prerendered imp", "GET", "/imptr?id=531", PRERENDER, "prerender"),
    ("prefetched click", "GET", "/clktrb?id=1", {"purpose": "prefetch"}, "prefetch"),
    ("head of a prefetch", "HEAD", "/clktr?id=1", {"purpose": "prefetch"}, "head"),
]


@pytest.mark.parametrize(
    ("method", "path", "headers", "reason"), [row[1:] for row in KEPT], ids=[row[0] for row in KEPT]
)
def test_what_is_not_counted_is_kept_with_its_reason(
    served: Served, method: str, path: str, headers: dict[str, str], reason: str
) -> None:
    kept = recorded(
        served,
        f"{path}&cachebuster=7&ancost=0.25",
        method,
        f"ignored; reason={reason}",
        user_agent="Probe/1.0",
        referer="https://page.example/a",
        **headers,
    )
    assert kept.pop("reason") == reason
    counted = recorded(
        served,
        f"{path.replace('2&', '1&')}&cachebuster=7&ancost=0.25".replace("532", "531").replace("id=2", "id=1"),
        user_agent="Probe/1.0",
        referer="https://page.example/a",
    )
    assert "reason" not in counted
    for event in (kept, counted):
        for name in ("id", "ts", "tracker_id"):
            del event[name]
    assert kept == counted


def test_the_page_of_a_prefetched_click_links_to_itself(served: Served) -> None:
    response = served.process.get("/clktr?id=1&redir=https://stranger.example/<b>", purpose="prefetch")
    assert '<a href="" rel="nofollow">' in response.text
    assert "stranger" not in response.text
    assert "http-equiv" not in response.text


def test_a_preview_is_counted_and_flagged(served: Served) -> None:
    assert recorded(served, "/clktr?id=1&cachebuster=[CB]", x_purpose="preview")["flags"] == [
        "macro_unreplaced",
        "preview",
    ]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_other_methods_are_refused(served: Served, method: str) -> None:
    response = served.process.get("/imptr?id=531", method)
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
    assert response.headers["x-onebyone"] == "ignored; reason=method"


def test_the_notice_page_escapes_its_link_and_does_not_jump(served: Served) -> None:
    hostile = b"https://stranger.example/?'\"><script>alert(1)</script>"
    response = served.process.raw(
        b"GET /clktr?id=3&redir=" + hostile + b" HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
    )
    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"<script" not in response
    assert b"http-equiv" not in response
    assert b"&#x27;&quot;&gt;&lt;script&gt;alert(1)" in response
    assert b"content-security-policy: default-src 'none'" in response


def test_the_notice_page_never_links_to_a_refused_scheme(served: Served) -> None:
    assert "javascript:" not in served.process.get("/clktr?id=3&redir=javascript:alert(1)").text


def test_location_is_the_raw_rest_of_the_query_string(served: Served) -> None:
    target = (
        b"https://landing.example/ddm/clk/1;dc_lat=;dc_rdid=?u=https://x.example/?a&redir=https://y.example&&=%7B%zz"
    )
    response = served.process.raw(
        b"GET /clktr?id=1&redir=" + target + b" HTTP/1.1\r\nHost: tags\r\nConnection: close\r\n\r\n"
    )
    assert b"\r\nlocation: " + target + b"\r\n" in response


@pytest.mark.parametrize("path", ["/", "/favicon.ico", "/imptrs", "/seg?id=1"])
def test_other_paths_are_not_found(served: Served, path: str) -> None:
    assert served.process.get(path).status_code == 404


def recorded(
    served: Served, path: str, method: str = "GET", verdict: str = "recorded", **headers: str
) -> dict[str, Any]:
    """Send a request and return its event. Events of earlier tests may arrive now too, but were received before."""
    client = served.valkey.client()
    time.sleep(0.002)
    since = now_ms()
    assert served.process.get(path, method, **headers).headers["x-onebyone"] == verdict
    (event,) = wait_until(lambda: [event for event in shipped(client) if event["ts"] >= since], "it is shipped")
    return event


def test_an_event_carries_the_request_and_the_as_of_ids(served: Served) -> None:
    event = recorded(
        served,
        "/imptr?id=533&cachebuster=c%2F1&ancost=0.25&gdpr=1&gdpr_consent=CPx&gpp=DBA&gpp_sid=2&us_privacy=1YNN&consent=1",
        user_agent="Probe/1.0",
        referer="https://page.example/a",
    )
    assert 0 < event.pop("id") < 2**63
    assert event.pop("ts") > 1_700_000_000_000
    assert event == {
        "v": 2,
        "kind": "imp",
        "tracker_id": 533,
        **AS_OF,
        "terms": {"cost_cpm": 2_500_000},
        "ancost": 250_000,
        "cb": "c/1",
        "ip": "127.0.0.0",
        "ua": "Probe/1.0",
        "ref": "https://page.example/a",
        "gdpr": "1",
        "gdpr_consent": "CPx",
        "gpp": "DBA",
        "gpp_sid": "2",
        "us_privacy": "1YNN",
        "consent": "1",
        "act": "image",
    }


FLAGS: list[tuple[str, str, list[str] | None, int | None]] = [
    ("clean", "/imptr?id=531&cachebuster=1&ancost=1", None, 1_000_000),
    ("maximum", "/imptr?id=531&ancost=999999.999999", None, 999_999_999_999),
    ("bracket macros", "/imptr?id=531&cachebuster=[CACHEBUSTER]&ancost=[ANCOST]", ["macro_unreplaced"], None),
    ("encoded macro", "/imptr?id=531&cachebuster=%5BCACHEBUSTER%5D", ["macro_unreplaced"], None),
    ("dollar macro", "/imptr?id=531&ancost=${ANCOST}", ["macro_unreplaced"], None),
    ("percent macro", "/imptr?id=531&cachebuster=%%CACHEBUSTER%%", ["macro_unreplaced"], None),
    ("brace macro", "/imptr?id=531&cachebuster={cachebuster}", ["macro_unreplaced"], None),
    ("letter macro", "/imptr?id=531&cachebuster=%n", ["macro_unreplaced"], None),
    ("buy macro", "/imptr?id=531&cachebuster=%ebuy!", ["macro_unreplaced"], None),
    ("underscore macro", "/imptr?id=531&cachebuster=__ADFRND__&ancost=1", ["macro_unreplaced"], 1_000_000),
    ("merge tag", "/imptr?id=531&cachebuster=*|UNIQID|*", ["macro_unreplaced"], None),
    ("dollar word", "/imptr?id=531&cachebuster=$CACHEBUSTER", ["macro_unreplaced"], None),
    ("macro with a separator", "/imptr?id=531&cachebuster=[timestamp]?", ["macro_unreplaced"], None),
    ("instruction", "/imptr?id=531&cachebuster=INSERT_RANDOM_NUMBER_HERE", ["macro_unreplaced"], None),
    ("macro encoded twice", "/imptr?id=531&cachebuster=%255BCB%255D", ["macro_unreplaced"], None),
    ("escaped ampersand", "/imptr?id=531&amp;cachebuster=1&amp;amp;ancost=0.5", None, 500_000),
    ("encoded name", "/imptr?id=531&an%63ost=0.5&cachebuste%72=1", None, 500_000),
    ("name in another case", "/imptr?id=531&ANCOST=0.5", ["name_case"], None),
    ("click macro", f"/imptr?id=531&redir=%%CLICK_URL_UNESC%%{OTHER}&ancost=1",
     ["macro_unreplaced", "click_macro_unreplaced", "redirect_refused"], None),
    ("too high", "/imptr?id=531&ancost=1000000", ["ancost_invalid"], None),
    ("seven places", "/imptr?id=531&ancost=0.1234567", ["ancost_invalid"], None),
    ("negative", "/imptr?id=531&ancost=-1", ["ancost_invalid"], None),
    ("not a number", "/imptr?id=531&ancost=NaN", ["ancost_invalid"], None),
    ("exponent", "/imptr?id=531&ancost=1e3", ["ancost_invalid"], None),
    ("redirect", f"/imptr?id=531&redir={STRANGER}", ["redirect_refused"], None),
    ("all", f"/imptr?id=531&cachebuster=[X]&ancost=x&redir={STRANGER}",
     ["macro_unreplaced", "ancost_invalid", "redirect_refused"], None),
]  # fmt: skip


@pytest.mark.parametrize(("path", "flags", "ancost"), [row[1:] for row in FLAGS], ids=[row[0] for row in FLAGS])
def test_oddities_are_flagged(served: Served, path: str, flags: list[str] | None, ancost: int | None) -> None:
    event = recorded(served, path, verdict=REFUSED if "redirect_refused" in (flags or ()) else "recorded")
    assert event.get("flags") == flags
    assert event.get("ancost") == ancost
    assert "cb" not in event or event["cb"] == "1"


OPT_OUT: list[tuple[str, str, dict[str, str], int | None]] = [
    ("no signal", "", {}, None),
    ("global privacy control", "", {"sec_gpc": "1"}, -1),
    ("consent denied", "&consent=0", {}, -1),
    ("us opt-out", "&us_privacy=1YYN", {}, -1),
    ("us opt-out, encoded name", "&us%5Fprivacy=1YYN", {}, -1),
    ("us opt-out, escaped ampersand", "&amp;us_privacy=1YYN", {}, -1),
    ("us no opt-out", "&us_privacy=1YNN", {}, None),
    ("gdpr without consent", "&gdpr=1", {}, -1),
    ("gdpr with consent", "&gdpr=1&gdpr_consent=CPx", {}, None),
]


@pytest.mark.parametrize(("query", "headers", "user_id"), [row[1:] for row in OPT_OUT], ids=[row[0] for row in OPT_OUT])
def test_an_opt_out_sets_the_user_id_to_minus_one(
    served: Served, query: str, headers: dict[str, str], user_id: int | None
) -> None:
    assert recorded(served, f"/imptr?id=531{query}", **headers).get("user_id") == user_id


def test_hostile_text_is_escaped_in_the_event(served: Served) -> None:
    event = recorded(served, "/imptr?id=531&cachebuster=%ff%00%22%0A", user_agent='","id":1,"x":"')
    assert event["cb"] == 'ÿ\x00"\n'
    assert event["ua"] == '","id":1,"x":"'


def test_long_headers_are_truncated(served: Served) -> None:
    event = recorded(served, "/imptr?id=531", user_agent="u" * 5000, referer="r" * 5000)
    assert (len(event["ua"]), len(event["ref"])) == (512, 1024)


def test_x_forwarded_for_of_an_untrusted_peer_is_ignored(served: Served) -> None:
    assert recorded(served, "/imptr?id=531", x_forwarded_for="203.0.113.9")["ip"] == "127.0.0.0"


def test_ops_endpoints(served: Served) -> None:
    ready = served.process.get("/readyz")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert served.process.get("/livez").status_code == 200
    served.process.get("/imptr?id=999")
    metrics = served.process.get("/metrics")
    assert 'onebyone_edge_ignored_total{kind="imp",reason="unknown_id"}' in metrics.text
