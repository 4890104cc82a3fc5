"""Remembers the usual parts of tag requests by their bytes, so that they are not parsed and decided again.

`RequestBatcher._decide` cuts a request into the same parts as `RequestMemo.remember` does; a test holds the two equal:

| part | looked up in |
|---|---|
| the request line up to the cachebuster | `tags` |
| the value of `ancost` | `costs` |
| the header lines, except the page and, from a trusted proxy, the line that names the client | `clients` |
| the address of a trusted proxy and what that line says | `networks` |

The cachebuster and the page, which are new in nearly every request, go into the event as they are. Cutting checks no
grammar: a part is only found if `request_parser.parse_request` has accepted a request with exactly these bytes before.
"""

from __future__ import annotations

from onebyone.edge.configuration.cache import Tracker
from onebyone.edge.configuration.record_cache import Entry
from onebyone.edge.fastpath.request_parser import ParsedTagRequest, split_headers
from onebyone.edge.recorder import Recorder
from onebyone.edge.tags import client, decision, query
from onebyone.edge.tags.client import Client
from onebyone.edge.tags.decision import Decision, EventLine
from onebyone.edge.tags.query import ANCOST_SEPARATOR, CACHEBUSTER_SEPARATOR, NO_SIGNALS
from onebyone.runtime.bounded_memo import BoundedMemo

VERSION, REFERRER = b" HTTP/1.1", b"\r\nReferer: "
_MAX_HEADERS_BYTES = 2048
"""Longer headers are not remembered; a browser sends less, and a full memo stays below ten megabytes."""
_MAX_FORWARDED_BYTES = 256
"""A longer chain of proxies is not remembered: it is something made up."""
_MAX_NETWORKS = 16_384
"""As many addresses as `client.network_member` caches."""

_KnownTag = tuple[Entry[Tracker], tuple[EventLine, EventLine], tuple[Decision, Decision]]
"""The entry of its tracker; while that is current, the beginning of its event line and the decision, each for an image
and for a script."""
_KnownClient = tuple[bytes, bool, bool]
"""The members that the headers add to an event (agent, privacy signals); whether they ask for a script; whether they
ask to close the connection."""
_Headers = bytes | tuple[bytes, bytes]
"""All header lines; or those before and those after the referrer."""


class RequestMemo:
    """What one process remembers of requests; each part that is looked up and missing is a `KeyError`."""

    def __init__(self, recorder: Recorder, known_tags: int) -> None:
        """Remember up to `known_tags` tags."""
        self._recorder = recorder
        self._config_cache = recorder.decisions.cache
        self._config_epoch = 0
        self._proxies = recorder.trusted_proxies
        self._address_line = b"\r\n%b: " % self._proxies.header_name
        self._any_address_line = b"\r\n%b:" % self._proxies.header
        self.tags: BoundedMemo[bytes, _KnownTag] = BoundedMemo(known_tags)
        self.clients: BoundedMemo[_Headers, _KnownClient] = BoundedMemo()
        self.costs: BoundedMemo[bytes, bytes] = BoundedMemo()
        self.networks: BoundedMemo[tuple[str, bytes | None], bytes] = BoundedMemo(_MAX_NETWORKS)

    def forget_stale_tags(self) -> None:
        """Forget all tags if every record has to be looked up again (`ConfigCache.invalidate_all`)."""
        if self._config_epoch != self._config_cache.epoch:
            self._config_epoch = self._config_cache.epoch
            self.tags.clear()

    def cut_address_line(self, data: bytes) -> tuple[bytes | None, bytes]:
        """Return what the last line that names the client says, or None, and the request without that.

        Raise `ValueError` when that line is after the end of the headers.
        """
        start = data.rfind(self._address_line)
        if start < 0:
            return None, data
        value_start = start + len(self._address_line)
        end = data.index(b"\r\n", value_start)
        if data[start - 2 : start] == b"\r\n":
            raise ValueError("the client's address after the headers")
        return data[value_start:end], data[:value_start] + data[end:]

    def remember(self, data: bytes, request: ParsedTagRequest, peer: str, network: bytes) -> None:
        """Remember the parts of a recorded request, each unless there is something unusual about it.

        `network` is the member of the event that follows from the peer and the headers.
        """
        forwarded, rest = self.cut_address_line(data) if self._proxies.include(peer) else (None, data)
        cut = not self._proxies.networks or self._names_client_by(forwarded, rest)
        if cut and len(forwarded or b"") <= _MAX_FORWARDED_BYTES and self._proxies.include(peer):
            self.networks.remember((peer, forwarded), network)
        line, _, headers = rest.partition(VERSION)
        tag, _, values = line.partition(CACHEBUSTER_SEPARATOR)
        self._remember_cost(values.partition(ANCOST_SEPARATOR)[2], request)
        before, referred, after = headers.rpartition(REFERRER)
        key: _Headers = (before, after.partition(b"\r\n")[2]) if referred else headers
        # A header with its name in another case was not cut out; with it, the rest is new for each page or client.
        cut = cut and bool(referred) == bool(request.referrer)
        if cut and request.client.purpose is None and len(headers) <= _MAX_HEADERS_BYTES and key not in self.clients:
            members = request.client.agent + client.privacy_members(NO_SIGNALS, request.client.gpc)
            self.clients.remember(key, (members, request.client.script, request.close))
        known = self.tags.get(tag)
        if known is None or known[0].generation < 0:
            self._remember_tag(tag, request)

    def _names_client_by(self, forwarded: bytes | None, rest: bytes) -> bool:
        """Return whether nothing but `forwarded` names the client; None means that no header may show a proxy."""
        if forwarded is None:
            return not self._proxies.mark(split_headers(rest))
        return rest.lower().count(self._any_address_line) == 1

    def _remember_cost(self, ancost: bytes, request: ParsedTagRequest) -> None:
        if ancost not in self.costs and (request.tag.ancost or b"") == ancost:
            cost = decision.ancost_member(ancost)
            if cost or not ancost:
                self.costs.remember(ancost, cost)

    def _remember_tag(self, tag: bytes, request: ParsedTagRequest) -> None:
        """Remember what is decided for `tag`, the request line up to the cachebuster."""
        bare = query.parse_usual(tag.partition(b"?")[2])
        if bare is None or bare.tracker_id is None or bare.ancost is not None:
            return
        decisions = self._recorder.decisions
        (image, image_line), (script, script_line) = (
            decisions.decide(request.kind, bare, Client(b"", wants_script, None, False, False), b"", b"")
            for wants_script in (False, True)
        )
        entry = decisions.trackers(request.kind).entry(bare.tracker_id)
        if entry is not None and image_line is not None and script_line is not None:
            self.tags.remember(tag, (entry, (image_line, script_line), (image, script)))
