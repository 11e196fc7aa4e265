"""Text files as they come: compressed or not, in the usual encodings, line by line."""

from __future__ import annotations

import codecs
import gzip
import io
import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

GZIP = b"\x1f\x8b"
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8-sig"}
_SEEN = 1024  # bytes that tell the encoding
_MANY, _FEW = 0.4, 0.01  # shares of zero bytes: of every other byte of Latin text in UTF-16, and in no text at all
_WRONG = re.compile("[\udc80-\udcff]+")  # what bytes that are not UTF-8 become for now
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

Remarks = dict[int, str]
"""Sentences on lines of a file that did not come as they should, by the numbers of the lines, from 1."""


def open_bytes(path: Path) -> gzip.GzipFile | io.BufferedReader:
    """Open a file for reading, and decompress it if it begins as a gzip file does."""
    with path.open("rb") as file:
        compressed = file.read(len(GZIP)) == GZIP
    return gzip.open(path) if compressed else path.open("rb")


def read_lines(path: Path, remarks: Remarks | None = None) -> Iterator[str]:
    r"""Read a text file line by line; each line ends with ``\n``, also if the file has other line ends.

    The file may be compressed by gzip. It is UTF-16 if its first bytes say so, and otherwise UTF-8; bytes that are not
    UTF-8 are read as Latin-1, one by one, so that they spoil no other line. Only ``\n``, ``\r\n`` and ``\r`` end a
    line, not the form feeds and other separators that names may contain.

    Args:
        path: File.
        remarks: Gets a sentence for each line whose bytes are not of the file's encoding, when the line is read.

    Raises:
        ValueError: If it is not a text file, or cannot be read.
    """
    try:
        with open_bytes(path) as file:
            encoding = _encoding(file.read(_SEEN), path)
            file.seek(0)
            errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
            with io.TextIOWrapper(file, encoding=encoding, errors=errors) as lines:
                for number, line in enumerate(lines, start=1):
                    if line.isascii():
                        yield line
                        continue
                    text, remark = _as_text(line, encoding)
                    if remark and remarks is not None:
                        remarks[number] = f"line {number} {remark}"
                    yield text
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"Cannot read {path} as text: {error}") from error


def remarks_until(remarks: Remarks, line: float = math.inf) -> list[str]:
    """Take the sentences on the lines up to one, all by default, out of the remarks."""
    return [remarks.pop(number) for number in sorted(remarks) if number <= line]


def _as_text(line: str, encoding: str) -> tuple[str, str]:
    """Read the bytes of a line that could not be decoded as Latin-1, and say so; empty if there are none."""
    if not encoding.startswith("utf-8"):
        return line, f"has {_REPLACEMENT} where it is not UTF-16" * (_REPLACEMENT in line)
    text = _WRONG.sub(lambda wrong: wrong[0].encode("ascii", "surrogateescape").decode("latin-1"), line)
    return text, "is not UTF-8, and was read as Latin-1" * (text != line)


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
