"""Data files that ship: exact arrays, the same bytes each time, and one kind of error for damaged ones."""

from __future__ import annotations

import builtins
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from graphscore.data.formats.npz import TEXT, WHOLE, read_npz, write_npz

DTYPES = ["?", "i1", "u2", "i8", "f2", "f4", "<U3", "S4"]
WANTED = {"steps": (WHOLE, 2), "name": (TEXT, 1)}


def made() -> dict[str, Any]:
    """Steps that LZMA makes much smaller than deflate does, and a few names."""
    steps = np.cumsum(np.random.default_rng(0).integers(-3, 4, (4000, 3)), axis=0).astype(np.int32)
    return {"steps": steps, "name": np.array(["a", "be"])}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(DTYPES).flatmap(lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=0, min_side=0))),
        max_size=4,
    )
)
def test_arrays_come_back_bit_for_bit(tmp_path_factory, given):
    path = tmp_path_factory.getbasetemp() / "arrays.npz"
    named = {f"array {number}": array for number, array in enumerate(given)} | {"file": np.arange(3)}
    write_npz(path, named)
    with np.load(path, allow_pickle=False) as file:
        assert file.files == [*named]
        for name, array in named.items():
            found = file[name]
            assert found.dtype == array.dtype and found.shape == array.shape and found.tobytes() == array.tobytes()


def test_each_array_has_the_compression_that_suits_it_and_the_bytes_are_the_same_each_time(tmp_path):
    noise = {"noise": np.random.default_rng(0).integers(0, 255, 5000, dtype=np.uint8)}
    write_npz(tmp_path / "a.npz", made() | noise)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        kinds = {member.filename: member.compress_type for member in archive.infolist()}
        assert kinds["steps.npy"] == zipfile.ZIP_LZMA and kinds["noise.npy"] == zipfile.ZIP_DEFLATED
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    np.savez_compressed(tmp_path / "deflate.npz", **made(), **noise)
    assert (tmp_path / "a.npz").stat().st_size < 0.9 * (tmp_path / "deflate.npz").stat().st_size
    write_npz(tmp_path / "b.npz", made() | noise)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_objects_are_refused_and_leave_the_old_file(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"old")
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        write_npz(tmp_path / "a.npz", {"objects": np.array([{}], dtype=object)})
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"] and (tmp_path / "a.npz").read_bytes() == b"old"


def member(content: bytes, path) -> tuple[int, int]:
    """First and last byte of the compressed array of steps."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("steps.npy")
    start = info.header_offset + 30 + len(info.filename)
    assert info.compress_type == zipfile.ZIP_LZMA and len(content) > start + info.compress_size
    return start, start + info.compress_size


def test_damaged_lzma_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path, made())
    content = path.read_bytes()
    start, end = member(content, path)
    for place in [*range(start, start + 16), *range(start + 16, end, (end - start) // 40), end - 1]:
        path.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
        try:
            read = read_npz(path, WANTED, path)
        except ValueError as error:
            assert str(error).startswith(f"Cannot read {path} as a numpy archive: ")
        else:  # some bits, such as the version of the compressor, mean nothing
            assert (read["steps"] == made()["steps"]).all()
    for place in range(0, len(content), len(content) // 40):
        path.write_bytes(content[:place])
        with pytest.raises(ValueError, match=r"Cannot read .*a\.npz as a numpy archive: "):
            read_npz(path, WANTED, path)


def test_an_archive_whose_lzma_ends_early_is_an_error(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path, made())
    content = bytearray(path.read_bytes())
    start, end = member(bytes(content), path)
    content[(start + end) // 2 : end] = bytes(end - (start + end) // 2)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"Cannot read .*a\.npz as a numpy archive: "):
        read_npz(path, WANTED, path)


def test_a_python_without_lzma_says_so(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    write_npz(path, made())
    monkeypatch.setattr(zipfile, "lzma", None)
    with pytest.raises(ValueError, match=r"Cannot read .*a\.npz as a numpy archive: .*lzma"):
        read_npz(path, WANTED, path)
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "lzma":
            raise ModuleNotFoundError("No module named '_lzma'", name="_lzma")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="_lzma"):
        write_npz(tmp_path / "b.npz", made())
    assert not (tmp_path / "b.npz").exists()
