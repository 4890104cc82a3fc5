"""Journals of a process with batches in them, on disk when the call returns."""

from __future__ import annotations

import select
from pathlib import Path

from onebyone.edge.journal.writer import OwnJournal

PRODUCER = "00000000000000aa"


def filled(directory: Path, count: int) -> OwnJournal:
    """The journal of `PRODUCER`, shard 3, with so many batches of ten events."""
    made = OwnJournal.create(directory, PRODUCER, 3)
    for seq in range(1, count + 1):
        write(made, 10, b"payload %d" % seq)
    return made


def write(own: OwnJournal, events: int, payload: bytes) -> None:
    """The next batch."""
    own.begin(events, payload)
    wait_ended(own)


def wait_ended(own: OwnJournal) -> None:
    """Until the batch that was begun is on disk."""
    ended = select.poll()
    ended.register(own.descriptor, select.POLLIN)
    while not own.ended():
        assert ended.poll(20_000), "the sync never ends"
