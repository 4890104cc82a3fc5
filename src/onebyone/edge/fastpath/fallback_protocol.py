"""uvicorn's protocol for connections of the edge that are not on the fast way: it goes on where that has stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
import uvicorn
from uvicorn.server import ServerState

from onebyone.edge.fastpath import request_parser
from onebyone.edge.fastpath.connection import Address
from onebyone.runtime.web_server import BoundedProtocol

_log = structlog.get_logger()


class FallbackProtocol(BoundedProtocol):
    """One connection, until it has answered all that it has seen and the next request is a plain one."""

    _between = True
    """Whether its parser stands between two messages."""

    def __init__(
        self,
        config: uvicorn.Config,
        state: ServerState,
        app_state: dict[str, Any],
        take_back: Callable[[asyncio.Transport, Address, bytes], bool],
        address: Address,
        begun: bytes,
        unsent: bytes,
        closes: bool,
    ) -> None:
        """`begun`: what was read already. `unsent`: what is to be written first; `closes`: and nothing behind it.

        `take_back(transport, address, data)` is asked with a plain request that comes between two others.
        """
        super().__init__(config, state, app_state)
        self._take_back = take_back
        self._address = address
        self._begun = begun
        self._unsent = unsent
        self._closes = closes

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if isinstance(self._address, tuple):
            # The socket of a client that has gone meanwhile would not know any more.
            self.client = self._address[:2]
        if self._unsent:
            transport.write(self._unsent)
        if self._begun:
            # Now, so that nothing that the loop reads comes before it.
            try:
                self.data_received(self._begun)
            except Exception:
                # As the loop does with what `data_received` raises.
                _log.exception("a request could not be read")
                transport.abort()
        if self._closes:
            self.shutdown()
        self._begun = self._unsent = b""

    def data_received(self, data: bytes) -> None:
        plainly = self._has_finished() and request_parser.parse(data) is not None
        if not plainly or not self._take_back(self.transport, self._address, data):
            super().data_received(data)

    def _has_finished(self) -> bool:
        """Whether it has answered all that its parser has seen, and the connection goes on as before."""
        return (
            self._between
            and not self.pipeline
            and self.cycle is not None
            and self.cycle.response_complete
            and not self.transport.get_write_buffer_size()
        )

    def on_message_begin(self) -> None:
        self._between = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        # After an upgrade or a close the parser reads what follows in its own way.
        self._between = self.parser.should_keep_alive() and not self.parser.should_upgrade()
        super().on_message_complete()
