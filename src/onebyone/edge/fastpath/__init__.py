"""The fast path: plain tag requests answered in batches on bare sockets, without ASGI."""
