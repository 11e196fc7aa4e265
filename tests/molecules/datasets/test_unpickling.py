"""Pickles of foreign data: what is read, and above all what is not."""

from __future__ import annotations

import builtins
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphscore.molecules.datasets.unpickling import UnsafePickleError, load_arrays, load_pickle

pytest.importorskip("rdkit")

from rdkit import Chem

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=8,
)


class Call:
    """Pickles as a call of a function, as malicious pickles do."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self):
        return self.call


@given(PLAIN, st.integers(3, pickle.HIGHEST_PROTOCOL))
def test_plain_objects_come_back(value: Any, protocol: int):
    assert load_pickle(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("properties", [Chem.PropertyPickleOptions.AllProps, Chem.PropertyPickleOptions.NoProps])
def test_molecules_come_back(protocol: int, properties: Any):
    mol = Chem.AddHs(Chem.MolFromSmiles("C[C@H](N)C(=O)[O-]"))
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(np.random.default_rng(0).normal(size=(mol.GetNumAtoms(), 3)))
    mol.AddConformer(conformer)
    content = pickle.dumps({"rd_mol": mol, "x": Call(Chem.Mol, mol.ToBinary(properties))}, protocol)
    for back in load_pickle(content).values():
        assert Chem.MolToSmiles(back) == Chem.MolToSmiles(mol)
        assert np.abs(back.GetConformer().GetPositions() - conformer.GetPositions()).max() < 1e-6


@pytest.mark.parametrize(
    "value", [np.float64(0.1), np.float32(0.25), np.int64(-3), np.bool_(True), np.dtype(">f8").type(2)]
)
@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_numpy_scalars_become_numbers(value: Any, protocol: int):
    back = load_pickle(pickle.dumps(value, protocol))
    assert back == value and type(back) is type(value.item())


def test_the_other_order_of_bytes():
    scalar, _ = np.float64(0).__reduce__()
    content = pickle.dumps(Call(scalar, np.dtype(">f8"), np.array(0.1, ">f8").tobytes()), 3)
    assert load_pickle(content) == 0.1


def mark() -> None:
    """Called only if a pickle could call it."""
    builtins.graphscore_was_called = True  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    "evil",
    [
        Call(eval, "__import__('builtins').__dict__.update(graphscore_was_called=True)"),
        Call(exec, "import builtins; builtins.graphscore_was_called = True"),
        Call(__import__, "os"),
        Call(getattr, Chem.Mol, "__init__"),
        Call(Chem.QuickSmartsMatch, "C", "C"),
        Call(np.load, "file.npy"),
        Call(mark),
        np.void(b"abc"),
    ],
    ids=lambda evil: evil.call[0].__name__ if isinstance(evil, Call) else type(evil).__name__,  # the same in each run
)
def test_everything_else_is_refused_and_not_called(evil: Any):
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        for content in (pickle.dumps(evil, protocol), pickle.dumps({"conformers": [{"rd_mol": evil}]}, protocol)):
            with pytest.raises(UnsafePickleError, match="The pickle was refused"):
                load_pickle(content)
    assert not hasattr(builtins, "graphscore_was_called")


def test_the_refusal_names_what_was_asked_for():
    with pytest.raises(UnsafePickleError, match=r"it asks for builtins.eval, but only RDKit molecules and numbers"):
        load_pickle(pickle.dumps(Call(eval, "1")))
    with pytest.raises(UnsafePickleError, match="made of bytes alone"):
        load_pickle(pickle.dumps(Call(Chem.Mol, "CCO")))
    with pytest.raises(UnsafePickleError, match="bytes as 'rot13', but expected 'latin1'"):
        load_pickle(b"c_codecs\nencode\n(Vabc\nVrot13\ntR.")


def test_classes_of_rdkit_cannot_be_changed():
    """BUILD sets attributes: on the class itself, were it handed out."""
    before = Chem.Mol.GetNumAtoms
    content = b"crdkit.Chem.rdchem\nMol\n(N}VGetNumAtoms\nVx\nstb."
    load_pickle(content)
    assert Chem.Mol.GetNumAtoms is before


@pytest.mark.parametrize("content", [b"", b"\x80\x03", b"junk", pickle.dumps({"a": 1})[:-3], b"(l", b"}(R."])
def test_damaged_pickles(content: bytes):
    with pytest.raises(ValueError, match="damaged"):
        load_pickle(content)


def test_damaged_molecules():
    binary = Chem.MolFromSmiles("CCO").ToBinary()
    with pytest.raises(ValueError, match="damaged"):
        load_pickle(pickle.dumps(Call(Chem.Mol, binary[: len(binary) // 2])))


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_splits_are_arrays_of_any_lengths(tmp_path: Path, version: tuple[int, int]):
    arrays = [np.array([5, 1, 2]), np.array([0]), np.array([], dtype=np.int64)]
    ragged = np.empty(3, dtype=object)
    ragged[:] = arrays
    with (tmp_path / "split.npy").open("wb") as file:
        np.lib.format.write_array(file, ragged, version=version)
    for back, array in zip(load_arrays(tmp_path / "split.npy"), arrays, strict=True):
        assert back.dtype == np.int64 and back.tolist() == array.tolist()


def test_splits_of_equal_lengths_need_no_pickle(tmp_path: Path):
    np.save(tmp_path / "split.npy", np.array([[0, 1], [2, 3], [4, 5]]))
    assert [array.tolist() for array in load_arrays(tmp_path / "split.npy")] == [[0, 1], [2, 3], [4, 5]]


def test_splits_that_are_none(tmp_path: Path):
    (tmp_path / "text.npy").write_text("0 1 2")
    np.save(tmp_path / "floats.npy", np.zeros((3, 2)))
    np.save(tmp_path / "one.npy", np.array(1))
    for name in ("text.npy", "floats.npy", "one.npy"):
        with pytest.raises(ValueError, match=f"Expected a .npy file of integer arrays, but .*{name} is none"):
            load_arrays(tmp_path / name)
    evil = np.empty(1, dtype=object)
    evil[0] = Call(eval, "1")
    np.save(tmp_path / "evil.npy", evil)
    with pytest.raises(UnsafePickleError, match="builtins.eval"):
        load_arrays(tmp_path / "evil.npy")
