from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rdkit.Chem import rdMolAlign
from torch_geometric.data import Data

from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import Chem, data_from_mol, mol_from_data, remove_hydrogens
from graphscore.molecules.show.superposition import lead_to, superpose
from graphscore.molecules.smiles import mol_from_smiles

SMILES = ["C[C@H](N)C(=O)O", "c1ccsc1", "C#CCO", "O=[N+]([O-])c1ccccc1", "CC", "C#C", "C", "[H][H]", "CC#CC"]


@cache
def conformers(smiles: str, num: int = 1) -> list[Data]:
    mol = embed(mol_from_smiles(smiles), num, seed=0, optimize=False)
    return [data_from_mol(mol, conformer.GetId()) for conformer in mol.GetConformers()]


def rotation(generator: np.random.Generator) -> np.ndarray:
    matrix, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    return matrix * np.sign(np.linalg.det(matrix))


def moved(data: Data, seed: int) -> Data:
    """The same conformer turned, shifted, and with its atoms in another order."""
    generator = np.random.default_rng(seed)
    mol = mol_from_data(data)
    pos = mol.GetConformer().GetPositions() @ rotation(generator).T + generator.normal(size=3) * 5
    mol.GetConformer().SetPositions(pos)
    return data_from_mol(Chem.RenumberAtoms(mol, generator.permutation(mol.GetNumAtoms()).tolist()))


def farthest_pair(elements: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """Largest distance from any atom to the nearest of its kind in the other structure."""
    distances = np.linalg.norm(a[:, None] - b[None], axis=-1)
    distances[elements[:, None] != elements[None]] = np.inf
    return float(distances.min(axis=1).max())


def lengths(pos: np.ndarray) -> np.ndarray:
    return np.linalg.norm(pos[:, None] - pos[None], axis=-1)


@pytest.mark.parametrize("smiles", SMILES)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_moved_copy_is_laid_exactly_onto_its_original(smiles: str, seed: int) -> None:
    """Hydrogens too, also where all heavy atoms are on a line."""
    (data,) = conformers(smiles)
    found, closest, rmsd = superpose([data], [moved(data, seed)])
    assert closest.tolist() == [0] and rmsd[0] < 2e-6
    elements = np.array([atom.GetAtomicNum() for atom in found.mol.GetAtoms()])
    assert farthest_pair(elements, found.generated[0], found.references[0]) < 1e-5


def test_a_mirror_image_is_not_laid_onto_its_original() -> None:
    (data,) = conformers("C[C@H](N)C(=O)O")
    mirrored = data.clone()
    mirrored.pos = data.pos * torch.tensor([1.0, 1.0, -1.0])
    assert superpose([data], [mirrored]).rmsd[0] > 0.1


@pytest.mark.parametrize("smiles", SMILES)
def test_the_pose_is_a_rigid_motion(smiles: str) -> None:
    (data,) = conformers(smiles)
    pos, posed = data.pos.double().numpy(), superpose([data], []).comparison.references[0]
    np.testing.assert_allclose(lengths(posed), lengths(pos), atol=1e-9)
    if len(pos) > 3:  # the volume spanned by four atoms keeps its sign: no reflection
        before, after = (np.linalg.det(x[1:4] - x[0]) for x in (pos, posed))
        assert after == pytest.approx(before, abs=1e-9)


def test_flat_molecules_show_their_broad_side() -> None:
    width, height, depth = np.ptp(superpose(conformers("c1ccsc1"), []).comparison.references[0], axis=0)
    assert width > depth and height > depth


def test_each_conformer_is_on_the_reference_that_rdkit_finds_closest() -> None:
    drawn = conformers("CC(C)C[C@H](N)C(=O)O", 7)
    references, attempts = drawn[:3], [moved(data, seed) for seed, data in enumerate(drawn[3:])]
    found, closest, rmsd = superpose(references, attempts)
    heavy = [remove_hydrogens(mol_from_data(data)) for data in (*references, *attempts)]
    for k in range(4):
        exact = [rdMolAlign.GetBestRMS(Chem.Mol(heavy[3 + k]), Chem.Mol(heavy[r])) for r in range(3)]
        assert closest[k] == int(np.argmin(exact))
        assert rmsd[k] == pytest.approx(min(exact), abs=1e-4)
        # It lies there: no other rigid motion, or matching of equivalent atoms, comes closer.
        mol, onto = (
            remove_hydrogens(found.with_conformer(pos)) for pos in (found.generated[k], found.references[closest[k]])
        )
        assert rdMolAlign.CalcRMS(mol, onto) == pytest.approx(min(exact), abs=1e-4)


def test_references_are_laid_onto_the_first() -> None:
    first, second = conformers("CC(C)C[C@H](N)C(=O)O", 2)
    ours = superpose([first, second], []).comparison
    other = superpose([first, moved(second, 3)], []).comparison
    elements = np.array([atom.GetAtomicNum() for atom in ours.mol.GetAtoms()])
    assert farthest_pair(elements, ours.references[1], other.references[1]) < 1e-5


def test_without_references_conformers_are_laid_onto_the_first() -> None:
    drawn = conformers("CC(C)C[C@H](N)C(=O)O", 3)
    alone, closest, rmsd = superpose([], drawn)
    with_reference, _, same = superpose(drawn[:1], drawn)
    assert len(alone.references) == 0 and closest.tolist() == [0, 0, 0]
    np.testing.assert_allclose(alone.generated, with_reference.generated, atol=1e-6)
    np.testing.assert_allclose(rmsd, same, atol=1e-6)


def test_failed_attempts_are_named() -> None:
    (data,) = conformers("C#CCO")
    broken = data.clone()
    broken.pos = data.pos * float("nan")
    found, closest, rmsd = superpose([data], [None, data, broken, conformers("CC")[0]])
    assert [bool(failure) for failure in found.failures] == [True, False, True, True]
    assert "nothing was generated" in found.failures[0] and "not finite" in found.failures[2]
    assert "CC" in found.failures[3] and len(closest) == len(rmsd) == len(found.generated) == 1


def test_nothing_to_show_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing was generated"):
        superpose([], [None])
    with pytest.raises(ValueError, match="No conformer has coordinates"):
        superpose([], [])


def test_the_graphs_stay_as_they_are() -> None:
    (data,) = conformers("C#CCO")
    attempt = moved(data, 0)
    before = [item.clone() for item in (data, attempt)]
    superpose([data], [attempt])
    for item, old in zip((data, attempt), before, strict=True):
        assert item.keys() == old.keys()
        assert torch.equal(item.pos, old.pos) and torch.equal(item.bond, old.bond)


@given(seed=st.integers(0, 2**32 - 1), num_atoms=st.integers(1, 12), num_frames=st.integers(0, 6))
def test_rigid_motions_vanish_from_a_trajectory(seed: int, num_atoms: int, num_frames: int) -> None:
    generator = np.random.default_rng(seed)
    end = generator.normal(size=(num_atoms, 3)) * 3
    frames = np.array([end @ rotation(generator).T + generator.normal(size=3) * 9 for _ in range(num_frames)])
    led = lead_to(end, frames.reshape(num_frames, num_atoms, 3))
    np.testing.assert_allclose(led, np.broadcast_to(end, led.shape), atol=1e-9)


def test_frames_of_a_trajectory_keep_their_shapes_and_handedness() -> None:
    generator = np.random.default_rng(0)
    end, frames = generator.normal(size=(6, 3)), generator.normal(size=(4, 6, 3)) * 5
    led = lead_to(end, frames)
    for before, after in zip(frames, led, strict=True):
        np.testing.assert_allclose(lengths(after), lengths(before), atol=1e-9)
        assert np.linalg.det(after[1:4] - after[0]) == pytest.approx(np.linalg.det(before[1:4] - before[0]))


def test_atoms_in_one_place_are_superposed() -> None:
    """A model that was not trained may put them there."""
    (data,) = conformers("O=[N+]([O-])c1ccccc1")
    point = data.clone()
    point.pos = torch.zeros_like(data.pos)
    found, _, rmsd = superpose([data], [point])
    assert np.isfinite(found.generated).all() and np.isfinite(rmsd).all()
