"""Text files as they come: compressed or not, in the usual encodings, line by line."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

GZIP = b"\x1f\x8b"
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8-sig"}
_SEEN = 1024  # bytes that tell the encoding
_MANY, _FEW = 0.4, 0.01  # shares of zero bytes: of every other byte of Latin text in UTF-16, and in no text at all
_WRONG_BYTES = "graphscore.wrong-bytes"


def _decode_wrong_bytes(error: UnicodeError) -> tuple[str, int]:
    """Read bytes that are not UTF-8 as Latin-1, in which each byte is a character."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return (wrong.decode("latin-1") if error.encoding.startswith("utf-8") else "\N{REPLACEMENT CHARACTER}"), error.end


codecs.register_error(_WRONG_BYTES, _decode_wrong_bytes)


def open_bytes(path: Path) -> gzip.GzipFile | io.BufferedReader:
    """Open a file for reading, and decompress it if it begins as a gzip file does."""
    with path.open("rb") as file:
        compressed = file.read(len(GZIP)) == GZIP
    return gzip.open(path) if compressed else path.open("rb")


def read_lines(path: Path) -> Iterator[str]:
    r"""Read a text file line by line; each line ends with ``\n``, also if the file has other line ends.

    The file may be compressed by gzip. It is UTF-16 if its first bytes say so, and otherwise UTF-8; bytes that are not
    UTF-8 are read as Latin-1, one by one, so that they spoil no other line. Only ``\n``, ``\r\n`` and ``\r`` end a
    line, not the form feeds and other separators that names may contain.

    Raises:
        ValueError: If it is not a text file, or cannot be read.
    """
    try:
        with open_bytes(path) as file:
            encoding = _encoding(file.read(_SEEN), path)
            file.seek(0)
            with io.TextIOWrapper(file, encoding=encoding, errors=_WRONG_BYTES) as lines:
                yield from lines
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"Cannot read {path} as text: {error}") from error


def _encoding(start: bytes, path: Path) -> str:
    """Encoding of a text file by its first bytes."""
    for mark, encoding in _MARKS.items():
        if start.startswith(mark):
            return encoding
    high, low = ((half.count(0) / max(len(half), 1)) for half in (start[::2], start[1::2]))
    if max(high, low) >= _MANY and min(high, low) == 0:
        return "utf-16-be" if high > low else "utf-16-le"
    if start.count(0) > 1 + _FEW * len(start):
        raise ValueError(f"Cannot read {path} as text: it has zero bytes, as files of another format have")
    return "utf-8"
