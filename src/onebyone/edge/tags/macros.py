"""The placeholders of ad servers, in every form in which one may arrive unreplaced.

A placeholder is recognised by its form, not by its name, because each ad server has hundreds of names and adds more. A
value is a placeholder only as a whole: a cachebuster or consent string that merely contains such characters is not one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from onebyone.edge.tags.names import ENCODINGS_MAX, ESCAPE


class Form(NamedTuple):
    """One way to write a placeholder."""

    pattern: bytes
    """Regular expression of the whole placeholder. Its time is linear in the length of any value."""
    examples: tuple[bytes, ...]
    systems: str
    """Who documents or writes it so."""


FORMS: tuple[Form, ...] = (
    Form(
        rb"\[.*\]",
        (
            b"[CACHEBUSTER]",
            b"[timestamp]",
            b"[[[TIMESTAMP]]]",
            b"[RANDOM_NUMBER]",
            b"[BID_ATTR.site]",
            b"[%FT_RANDOM%]",
        ),
        "VAST 3 and later; Equativ, DoubleClick, Illumin, Roku, MediaMath, AdTheorent",
    ),
    Form(
        rb"\$\{.*\}",
        (b"${CACHEBUSTER}", b"${GDPR_CONSENT_123}", b"${TM_RANDOM}", b"${AID}${IDFA}"),
        "Xandr creative macros; Display & Video 360 answer 2789508; Yahoo and Adobe DSP; IAB TCF and GPP URL macros",
    ),
    Form(
        rb"%%.*%%",
        (b"%%CACHEBUSTER%%", b"%%TTD_CACHEBUSTER%%", b"%%ADFRND%%", b"%%PATTERN:url%%", b"%%c1;cpdir=%%"),
        "Google Ad Manager answer 10138654; Authorized Buyers; The Trade Desk; Adform 9739143043345; GroundTruth",
    ),
    Form(rb"%%\w+;\w+=", (b"%%c1;cpdir=",), "Adform 9738565242385: a click macro that ends where the target begins"),
    Form(
        rb"\{.*\}",
        (b"{timestamp}", b"{{timestamp}}", b"{{url|url_encode}}", b"{random}", b"{{.CacheBuster}}"),
        "Kevel macros and tokens; StackAdapt, Beeswax, Basis, AdKernel, Revive",
    ),
    Form(
        rb"%(?:e[a-z]{2,12}(?:!|%21)|[A-Za-z])(?:[-_.:,]?%(?:e[a-z]{2,12}(?:!|%21)|[A-Za-z]))*",
        (b"%n", b"%c", b"%t", b"%ebuy!", b"%eaid!", b"%esid!", b"%ecid!", b"%epid!_%n"),
        "Campaign Manager 360 table 6096962; Zedo",
    ),
    Form(
        # Two hexadecimal digits between percent signs are an escape, and the beginning of another that was cut off.
        rb"%(?![0-9A-Fa-f]{2}%)[A-Za-z_][\w.-]*%",
        (b"%ts%", b"%system.random%", b"%CACHEBUSTER%", b"%ZZRAND%", b"%click_url_esc%", b"%EBUY%", b"%ad-id%"),
        "mediasmart, Affle, Zedo; Adfox",
    ),
    Form(
        # Words of one case or capitalised, because base64url may begin and end with underscores too.
        rb"__(?=[A-Za-z])(?:[A-Z0-9]+(?:_[A-Z0-9]+)*|[A-Z]?[a-z0-9]+(?:_[A-Z]?[a-z0-9]+|[A-Z][a-z0-9]+)*)__",
        (b"__ADFRND__", b"__ADFTIMESTAMP__", b"__TIMESTAMP__", b"__CAMPAIGN_ID__", b"__timestamp__", b"__AdId__"),
        "Adform 9739143043345; TikTok about supported macros",
    ),
    Form(rb"\*\|.*\|\*", (b"*|UNIQID|*", b"*|CAMPAIGN_UID|*", b"*|DATE:U|*"), "Mailchimp merge tags"),
    Form(rb"\|[A-Za-z][\w.-]*\|", (b"|RANDOM|", b"|UR_ID|"), "Affle"),
    Form(
        rb"\$[A-Za-z_][\w.-]*(?:\([^()]*\))?\$?|\$\([\w.-]+\)|\$\$.*\$\$",
        (b"$CACHEBUSTER", b"$IMP_ID", b"$_BK_UUID", b"$CAMPAIGNS(5)", b"$timestamp", b"$$CLICK$$", b"$$<click>$$"),
        "InMobi; Oracle Data Cloud pixel URL macros; Sizmek",
    ),
    Form(rb"@@[A-Za-z][\w.-]*@@", (b"@@CACHEBUSTER@@", b"@@REFERER@@"), "bid adapters of Prebid.js"),
    Form(
        rb"##?[A-Za-z][\w.-]*##?",
        (b"#CACHEBUSTER#", b"#CLICK_TEMPLATE_ESC#", b"##RANDOM##"),
        "Moloco specification 2.2.1",
    ),
    Form(rb"_AD[A-Z]{2,12}_", (b"_ADTIME_", b"_ADCLICK_", b"_ADBNID_"), "ADTECH ad server variables"),
    Form(
        rb"<[^<>]*>", (b"<CACHEBUSTER>", b"<insert random number>", b"<%= cb %>"), "instructions and templates of pages"
    ),
    Form(
        rb"(?i:insert|replace|enter|put|add|your)(?:[ _+-][A-Za-z0-9]+)*[ _+-](?i:here)"
        rb"|(?:INSERT|REPLACE)(?:[ _+-][A-Z]+)+",
        (b"INSERT_RANDOM_NUMBER_HERE", b"INSERT_CLICKURL_HERE", b"Insert_Time_Stamp_Here", b"INSERT+TIMESTAMP"),
        "Revive; DoubleClick",
    ),
)
"""All forms. The source of each is a page of the named system's help or a tag that it writes."""

_PLACEHOLDER = re.compile(
    rb"(?:%%20|\s)*(?:%b)(?:[?*]|%%3[Ff])?(?:%%20|\s)*" % b"|".join(b"(?:%b)" % form.pattern for form in FORMS),
    re.DOTALL,
)
"""A placeholder; many tags hold `[timestamp]?`, with the separator of what used to follow."""
_TARGET = re.compile(rb"https?(?::|%(?:25)*3a)", re.IGNORECASE)
"""The beginning of a redirect target, encoded any number of times."""
_SEPARATOR = re.compile(rb"[?&]")
"""What may follow a click macro that takes the target as a parameter of its own."""

_LENGTH_MAX = 4096
"""Bytes of the longest placeholder, encoded: with click macros of a few hundred bytes, encoded three times, in mind."""
_FIRST = frozenset(b"[{%$*|_@#< \t\n\r\f\viIrReEpPaAyY")
"""The bytes with which a placeholder may begin, so that most values are decided by their first."""


def is_macro(value: bytes) -> bool:
    """Return whether a raw value is a placeholder, as it is or below up to `ENCODINGS_MAX` layers of encoding."""
    if not value or value[0] not in _FIRST or len(value) > _LENGTH_MAX:
        return False
    return any(_PLACEHOLDER.fullmatch(layer) for layer in _layers(value))


def has_click_macro(redir: bytes) -> bool:
    """Return whether a raw `redir` is an absolute target with a placeholder in front of it."""
    for layer in _layers(redir[:_LENGTH_MAX]):
        target = _TARGET.search(layer)
        if target is not None:
            fronts = (_SEPARATOR.split(front, maxsplit=1)[0] for front in _layers(layer[: target.start()]))
            return any(_PLACEHOLDER.fullmatch(front) for front in fronts)
    return False


def _layers(value: bytes) -> Iterator[bytes]:
    """Yield the value as it is, then with one layer of percent-encoding after the other removed."""
    # As it is first: in `%ebuy!` and `%%CACHEBUSTER%%` the first bytes would be taken for an escape.
    yield value
    for _ in range(ENCODINGS_MAX):
        if ESCAPE.search(value) is None:
            return
        value = unquote_to_bytes(value)
        yield value
