"""Journals with batches in them, which are on disk when the call returns."""

from __future__ import annotations

import select
from pathlib import Path

from onebyone.edge.journal.writer import JournalWriter

PRODUCER = "00000000000000aa"


def filled(directory: Path, count: int) -> JournalWriter:
    """Create the journal of `PRODUCER`, shard 3, with `count` batches of ten events."""
    journal = JournalWriter.create(directory, PRODUCER, 3)
    for seq in range(1, count + 1):
        write(journal, 10, b"payload %d" % seq)
    return journal


def write(journal: JournalWriter, events: int, payload: bytes) -> None:
    """Write the next batch and wait until it is on disk."""
    journal.begin_batch(events, payload)
    wait_synced(journal)


def wait_synced(journal: JournalWriter) -> None:
    """Wait until the batch that was begun is on disk."""
    readable = select.poll()
    readable.register(journal.fd, select.POLLIN)
    while not journal.poll_synced():
        assert readable.poll(20_000), "the sync never ends"
