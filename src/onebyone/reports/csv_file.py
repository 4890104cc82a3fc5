"""Report files: a header line and rows as CSV (RFC 4180, CRLF) or tab-separated text, compressed while written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import zstandard

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def escape_formula(text: str) -> str:
    """Prefix an apostrophe to a text that a spreadsheet would execute as a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


class CsvWriter:
    """Builds the file of one report: call `write_rows` any number of times, then `finish` once."""

    def __init__(self, columns: Sequence[str], *, tab_separated: bool = False, quote_all: bool = False) -> None:
        self._separator = "\t" if tab_separated else ","
        self._quote_all = quote_all
        # Level 3, the default of zstd, compresses a feed tenfold.
        self._compressor = zstandard.ZstdCompressor(level=3).compressobj()
        self._compressed: list[bytes] = []
        self.size = 0
        """Bytes of the file before compression."""
        self.row_count = 0
        self._write([columns])

    def write_rows(self, rows: Sequence[Sequence[str]]) -> None:
        """Append rows of text cells."""
        self.row_count += len(rows)
        self._write(rows)

    def finish(self) -> bytes:
        """Return the compressed file."""
        return b"".join([*self._compressed, self._compressor.flush()])

    def _write(self, rows: Iterable[Sequence[str]]) -> None:
        text = "".join(self._separator.join(self._quote(cell) for cell in row) + "\r\n" for row in rows).encode()
        self.size += len(text)
        self._compressed.append(self._compressor.compress(text))

    def _quote(self, cell: str) -> str:
        if self._quote_all or any(character in cell for character in (self._separator, '"', "\r", "\n")):
            return '"' + cell.replace('"', '""') + '"'
        return cell


def decompress_file(compressed: bytes) -> bytes:
    """Return the file that `CsvWriter.finish` compressed."""
    return zstandard.ZstdDecompressor().decompressobj().decompress(compressed)
