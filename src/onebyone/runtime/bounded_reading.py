"""Reads from a connection little at a time, and nothing while what was read before waits for its turn."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from uvicorn.protocols.http.flow_control import FlowControl

READ_BYTES = 16_384
"""What one read returns at most, and so what a connection holds back at most: most requests fit, and a thousand
connections hold 16 MB. uvloop by itself reads 256 kB."""


class _Buffers(threading.local):
    """What the event loop of each thread reads into: filled and emptied in one step, so its connections share it."""

    def __init__(self) -> None:
        self.reading = bytearray(READ_BYTES)


_buffers = _Buffers()


class SmallReads(asyncio.BufferedProtocol):
    """Takes the place of a protocol at its transport: uvloop asks for a buffer only what is no `asyncio.Protocol`."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol

    def get_buffer(self, sizehint: int) -> bytearray:
        """Return where the event loop puts what it reads."""
        return _buffers.reading

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on what was read."""
        self._protocol.data_received(bytes(_buffers.reading[:nbytes]))

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()


class HeldFlow(FlowControl):
    """uvicorn's flow control, except that nothing is read while what was read before waits for its turn."""

    def __init__(self, transport: asyncio.Transport, is_held: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._is_held = is_held
        self.has_paused = False
        """Set whenever reading is paused, for others to reset."""

    def pause_reading(self) -> None:
        # Each time: the event loop starts to read after `connection_made`, even if that has paused.
        self.read_paused = self.has_paused = True
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        # uvicorn resumes whenever an application asks for more of its request.
        if not self._is_held():
            super().resume_reading()
