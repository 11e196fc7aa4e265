"""Text files as they come: encodings, compression, line ends, and files that are no text."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from graphscore.data.formats.text import Remarks, read_lines, remarks_until
from graphscore.data.readers import check_input, extension

TEXT = "C\tmétha\x0cne\nCC \u2028\x85ethane\nlast"
LINES = ["C\tmétha\x0cne\n", "CC \u2028\x85ethane\n", "last"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_the_same_in_each_encoding(tmp_path: Path, encoding: str, packed: bool, end: str):
    content = TEXT.replace("\n", end).encode(encoding)
    path = tmp_path / "a.txt"
    path.write_bytes(gzip.compress(content) if packed else content)
    remarks = Remarks()
    assert list(read_lines(path, remarks)) == LINES and not remarks


def test_big_endian_utf_16_with_a_mark(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"\xfe\xff" + TEXT.encode("utf-16-be"))
    assert list(read_lines(tmp_path / "a.txt")) == LINES


def test_latin_1_and_single_wrong_bytes_spoil_no_other_line(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"caf\xe9\n" + "µ-é\n".encode() + b"\xb5 \xff\xfe\nok\n")
    remarks = Remarks()
    assert list(read_lines(tmp_path / "a.txt", remarks)) == ["café\n", "µ-é\n", "µ ÿþ\n", "ok\n"]
    said = "is not UTF-8, and was read as Latin-1"
    assert remarks_until(remarks, 2) == [f"line 1 {said}"] and remarks_until(remarks) == [f"line 3 {said}"]
    assert not remarks
    (tmp_path / "b.txt").write_bytes("é\na".encode("utf-16") + b"\x00\xd8\x41\x00")  # half of a pair
    assert list(read_lines(tmp_path / "b.txt", remarks)) == ["é\n", "a\N{REPLACEMENT CHARACTER}A"] and list(
        remarks
    ) == [2]


def test_what_is_no_text_or_cut_off_is_refused(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x05")
    with pytest.raises(ValueError, match=r"a\.txt as text: it has zero bytes"):
        list(read_lines(tmp_path / "a.txt"))
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(bytes(range(1, 256)) * 9)[:-12])
    with pytest.raises(ValueError, match=r"Cannot read .*b\.txt\.gz as text: Compressed file ended"):
        list(read_lines(tmp_path / "b.txt.gz"))


def test_the_extension_is_that_of_the_content(tmp_path: Path):
    assert [extension(name) for name in ("a.b.SDF", "a.b.Sdf.GZ", "a", "a.gz")] == [".sdf", ".sdf.gz", "", ".gz"]
    (tmp_path / "a.pt.gz").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"a\.pt\.gz: expected one of the extensions \.\w+ .*\.can .*, also with \.gz"):
        check_input(tmp_path / "a.pt.gz")
