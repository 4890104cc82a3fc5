"""The fast path: plain tag requests answered in batches on bare sockets, without ASGI.

What a request needs is mostly in one of these caches. Each is bounded; "bytes only" means that an entry is a pure
function of its key and the settings, so it is evicted and never invalidated.

| cache | key | value | invalidated by |
|---|---|---|---|
| `RequestMemo.tags` | request line up to the cachebuster | record, decisions | its change, a new epoch |
| `RequestMemo.clients` | headers but the page and a proxy's word | members of the event, `close` | bytes only |
| `RequestMemo.costs` | value of `ancost` | member of the event | bytes only |
| `RequestMemo.networks` | proxy, value of its header | member of the event | bytes only |
| `request_parser._lines` | one header line | name and value, or nothing | bytes only |
| `client.network_member` | address | member of the event | bytes only |
| `client._agent_member` | value of `User-Agent` | member of the event | bytes only |
| `decision.ancost_member` | value of `ancost` | member of the event | bytes only |
| `decision._redirect_to` | click URL | decision | bytes only |
| `ResponseCache` | decision | response | a new `Date`, once a second |
| `response_cache.with_close` | response | the same with `Connection: close` | bytes only |
| `RecordCache` (`configuration/record_cache.py`) | id | tracker or member | a published change; a gap in the changes |
"""
