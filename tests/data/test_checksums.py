"""Checksums of files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from graphscore.data import checksums
from graphscore.data.checksums import verify
from graphscore.domains import gather

EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"
ABC_SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1


def test_known_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "empty").write_bytes(b"")
    verify(tmp_path / "empty", f"md5:{EMPTY_MD5}")
    (tmp_path / "abc").write_bytes(b"abc")
    monkeypatch.setattr(checksums, "BLOCK", 2)
    verify(tmp_path / "abc", f"sha256:{ABC_SHA256.upper()}")


def test_another_file_is_told_apart_and_both_sums_are_named(tmp_path: Path):
    path = tmp_path / "uncharacterized.txt"
    path.write_bytes(b"abc")
    known = gather("checksums")[path.name].removeprefix("sha256:")
    with pytest.raises(ValueError, match=f"sha256 is {ABC_SHA256}, but {known} was expected"):
        verify(path)
    with pytest.raises(ValueError, match=f"md5 is {hashlib.md5(b'abc').hexdigest()}, but {EMPTY_MD5}"):
        verify(path, f"md5:{EMPTY_MD5}")


def test_what_cannot_be_compared(tmp_path: Path):
    (tmp_path / "mine.sdf").touch()
    with pytest.raises(ValueError, match="known for a file named 'mine.sdf'; known are .*'rmd17.tar.bz2'"):
        verify(tmp_path / "mine.sdf")
    with pytest.raises(ValueError, match="Expected a checksum 'sha256:...' or 'md5:...', but got 'crc32:0'"):
        verify(tmp_path / "mine.sdf", "crc32:0")
    with pytest.raises(FileNotFoundError):
        verify(tmp_path / "rmd17.tar.bz2")


def test_the_table_holds_whole_digests():
    lengths = {"md5": 32, "sha256": 64}
    for expected in gather("checksums").values():
        algorithm, digest = expected.split(":")
        assert len(bytes.fromhex(digest)) * 2 == lengths[algorithm]
