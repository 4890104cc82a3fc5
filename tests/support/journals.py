"""Journals of a process with batches in them, on disk when the call returns."""

from __future__ import annotations

import select
from pathlib import Path

from onebyone.edge.journal.writer import JournalWriter

PRODUCER = "00000000000000aa"


def filled(directory: Path, count: int) -> JournalWriter:
    """The journal of `PRODUCER`, shard 3, with so many batches of ten events."""
    made = JournalWriter.create(directory, PRODUCER, 3)
    for seq in range(1, count + 1):
        write(made, 10, b"payload %d" % seq)
    return made


def write(own: JournalWriter, events: int, payload: bytes) -> None:
    """The next batch."""
    own.begin_batch(events, payload)
    wait_ended(own)


def wait_ended(own: JournalWriter) -> None:
    """Until the batch that was begun is on disk."""
    ended = select.poll()
    ended.register(own.fd, select.POLLIN)
    while not own.poll_synced():
        assert ended.poll(20_000), "the sync never ends"
