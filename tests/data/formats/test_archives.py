"""Files in folders and archives."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from graphscore.data.formats.archives import members

FILES = {"top/b.txt": b"bb" * 5000, "top/a.txt": b"a", "top/sub/c.txt": b""}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(content)
    return tmp_path / "data"


def read(path: Path) -> list[tuple[str, bytes]]:
    found = []
    for name, open_ in members(path):
        with open_() as file:
            found.append((name, file.read()))
    return found


def test_folders_are_sorted(folder: Path):
    assert read(folder) == sorted(FILES.items())


@pytest.mark.parametrize("kind", ["", "gz", "bz2", "xz"])
def test_archives_keep_their_order(folder: Path, tmp_path: Path, kind: str):
    path = tmp_path / "data.tar.gz"  # whatever the name says: GEOM's archive of this name is not compressed
    with tarfile.open(path, f"w:{kind}") as archive:
        for name in FILES:
            archive.add(folder / name, name)
    assert read(path) == list(FILES.items())
    opened = [open_().read() for name, open_ in members(path) if name == "top/a.txt"]
    assert opened == [b"a"]


def test_any_other_file_is_alone(folder: Path):
    assert read(folder / "top" / "a.txt") == [("a.txt", b"a")]


def test_what_is_missing_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="There is no file or folder .*nothing"):
        read(tmp_path / "nothing")


def test_archives_that_are_cut_off_are_damaged(folder: Path, tmp_path: Path):
    """Wherever they are: within the first header, too."""
    with tarfile.open(tmp_path / "data.tar.gz", "w:gz") as archive:
        archive.add(folder, "data")
    content = (tmp_path / "data.tar.gz").read_bytes()
    for length in range(10, len(content) // 2 + 1, 7):  # at the end there is nothing but padding
        (tmp_path / "half.tar.gz").write_bytes(content[:length])
        with pytest.raises(ValueError, match="half.tar.gz is damaged or not complete"):
            _ = [name for name, _ in members(tmp_path / "half.tar.gz")]
