"""Report files: a header line and rows as CSV (RFC 4180, CRLF) or tab-separated, compressed as they are written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import zstandard

from onebyone.reports.report_request import Demand

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def guard(text: str) -> str:
    """Text that a spreadsheet would take for a formula gets an apostrophe in front."""
    return f"'{text}" if text.startswith(_FORMULA) else text


class TableWriter:
    """Collects the file of one report; `rows` may be called many times, then `finish` once."""

    def __init__(self, demand: Demand) -> None:
        self._separator = "\t" if demand.excel else ","
        self._quote_all = demand.quote_all
        self._compressor = zstandard.ZstdCompressor(level=3).compressobj()
        self._pieces: list[bytes] = []
        self.size = 0
        """Bytes of the file, before compression."""
        self.row_count = 0
        self._write([demand.columns])

    def rows(self, rows: Sequence[Sequence[str]]) -> None:
        """Adds rows of text cells."""
        self.row_count += len(rows)
        self._write(rows)

    def finish(self) -> bytes:
        """The compressed file."""
        return b"".join([*self._pieces, self._compressor.flush()])

    def _write(self, rows: Iterable[Sequence[str]]) -> None:
        text = "".join(self._separator.join(self._cell(cell) for cell in row) + "\r\n" for row in rows).encode()
        self.size += len(text)
        self._pieces.append(self._compressor.compress(text))

    def _cell(self, text: str) -> str:
        if self._quote_all or any(character in text for character in (self._separator, '"', "\r", "\n")):
            return '"' + text.replace('"', '""') + '"'
        return text


def unpack(body: bytes) -> bytes:
    """The file of a compressed one."""
    return zstandard.ZstdDecompressor().decompressobj().decompress(body)
