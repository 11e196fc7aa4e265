"""Superposition and matching against RDKit, spyrmsd and brute force, on molecules whose symmetry makes it hard."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rdkit")

from rdkit import Chem
from rdkit.Chem import rdMolAlign
from scipy.spatial.transform import Rotation
from spyrmsd.rmsd import symmrmsd

from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import remove_hydrogens
from graphscore.molecules.metrics import rmsd
from graphscore.molecules.metrics.rmsd import best_rmsd, matchings, pairwise_rmsd
from graphscore.molecules.smiles import mol_from_smiles

# With the number of matchings: written out by hand.
SYMMETRIC = {
    "CC(=O)[O-]": 2,  # carboxylate
    "C[N+](=O)[O-]": 2,  # nitro
    "CC(F)(F)F": 6,  # CF3
    "c1ccccc1": 12,
    "Cc1ccc(O)cc1": 2,  # para-substituted
    "Cc1ccc(C)cc1": 4,
    "O=[N+]([O-])c1ccc(C(F)(F)F)cc1": 24,
    "CC(C)(C)C(=O)[O-]": 12,
    "CS(=O)(=O)[O-]": 6,
    "NC(N)=[NH2+]": 6,
    "N#CC#N": 2,  # on a line
    "C1CC12CC2": 8,
    "OCC(N)CF": 1,
}


def two_sets(smiles: str, noise: float = 0.3) -> tuple[Chem.Mol, np.ndarray, np.ndarray]:
    """A molecule, three conformers, and four that are turned, shifted and distorted."""
    mol = embed(mol_from_smiles(smiles), 7, 0)
    rng = np.random.default_rng(1)
    pos = np.stack([conformer.GetPositions() for conformer in mol.GetConformers()])
    x, y = pos[:3], pos[3:] @ Rotation.from_quat(rng.normal(size=4)).as_matrix() + 5.0
    return mol, x, y + noise * rng.standard_normal(y.shape)


def heavy_mol(mol: Chem.Mol, pos: np.ndarray) -> Chem.Mol:
    mol = Chem.Mol(mol)
    mol.RemoveAllConformers()
    conformer = Chem.Conformer(len(pos))
    conformer.SetPositions(pos)
    mol.AddConformer(conformer)
    return remove_hydrogens(mol)


@pytest.mark.parametrize("smiles", SYMMETRIC)
def test_matchings_are_counted(smiles):
    found = matchings(mol_from_smiles(smiles))
    assert found.complete
    assert len(found.atoms) == SYMMETRIC[smiles]
    assert len(np.unique(found.atoms, axis=0)) == SYMMETRIC[smiles]
    assert all(sorted(row) == sorted(found.atoms[0]) for row in found.atoms.tolist())


@pytest.mark.parametrize("noise", [0.01, 0.3])
@pytest.mark.parametrize("smiles", [smiles for smiles in SYMMETRIC if smiles != "N#CC#N"])
def test_rdkit_agrees(smiles, noise):
    mol, x, y = two_sets(smiles, noise)
    expected = [[rdMolAlign.GetBestRMS(heavy_mol(mol, b), heavy_mol(mol, a)) for b in y] for a in x]
    np.testing.assert_allclose(best_rmsd(x, y, matchings(mol).atoms), expected, atol=1e-6)


@pytest.mark.parametrize("smiles", SYMMETRIC)
def test_spyrmsd_agrees(smiles):
    mol, x, y = two_sets(smiles)
    heavy = remove_hydrogens(mol)
    atoms = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1]
    numbers = np.array([atom.GetAtomicNum() for atom in heavy.GetAtoms()])
    bonds = Chem.GetAdjacencyMatrix(heavy)
    expected = [
        symmrmsd(a, list(y[:, atoms]), numbers, numbers, bonds, bonds, center=True, minimize=True) for a in x[:, atoms]
    ]
    np.testing.assert_allclose(best_rmsd(x, y, matchings(mol).atoms), expected, atol=1e-5)


@pytest.mark.parametrize("num", [0, 1, 16, 37])
def test_pairs_of_one_set_are_those_of_two(num):
    mol, x, _ = two_sets("CC(C)(C)OC(=O)c1ccccc1")
    x = x[np.arange(num) % len(x)] + np.random.default_rng(0).normal(0, 0.3, (num, *x.shape[1:]))
    orders = matchings(mol).atoms
    rmsd = pairwise_rmsd(x, orders)
    np.testing.assert_allclose(rmsd, best_rmsd(x, x, orders), atol=2e-7)
    assert (rmsd == rmsd.T).all() and not rmsd.diagonal().any()


def brute_force(x: np.ndarray, y: np.ndarray, orders: np.ndarray) -> float:
    y = y - y[orders[0]].mean(axis=0)
    x = x[orders[0]] - x[orders[0]].mean(axis=0)
    return min(Rotation.align_vectors(x, y[order])[1] for order in orders) / np.sqrt(len(x))


@pytest.mark.filterwarnings("ignore:Optimal rotation is not uniquely:UserWarning")
@pytest.mark.parametrize("shape", ["any", "mirrored", "flat", "line", "same"])
def test_all_permutations_of_four_points(shape):
    """24 matchings; points in a plane or on a line make the determinant zero and the bound's root double."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 3, 4, 3))
    if shape == "mirrored":
        y = x * [1, 1, -1]
    elif shape == "flat":
        x[..., 2] = y[..., 2] = 0.0
    elif shape == "line":
        x[..., 1:] = y[..., 1:] = 0.0
    elif shape == "same":
        y = x[:, ::-1] @ Rotation.from_quat(rng.normal(size=4)).as_matrix()
    orders = np.array(list(permutations(range(4))))
    expected = [[brute_force(a, b, orders) for b in y] for a in x]
    np.testing.assert_allclose(best_rmsd(x, y, orders), expected, atol=2e-7)


def test_atoms_on_a_line_by_hand():
    """N#CC#N squeezed: the difference of lengths is all that is left; RDKit gives this to 3e-4 only."""
    mol, x, _ = two_sets("N#CC#N", 0.0)
    line = np.array([-1.9, -0.7, 0.7, 1.9])[:, None] * np.array([0.6, 0.0, 0.8])
    assert best_rmsd(line[None], 1.01 * line[None, ::-1], matchings(mol).atoms).item() == pytest.approx(
        0.01 * np.sqrt(np.square(line).sum() / 4), abs=1e-9
    )
    assert np.abs(best_rmsd(x, x, matchings(mol).atoms).diagonal()).max() < 1e-7


@given(st.integers(0, 10_000), st.sampled_from([0.0, 1e-9, 1e-4, 1.0]), st.booleans())
def test_the_bound_is_one(seed, third, mirrored):
    """From any covariance, near rank one and two and near reflections too."""
    rng = np.random.default_rng(seed)
    left, right = Rotation.from_quat(rng.normal(size=(2, 4))).as_matrix()
    values = np.sort(rng.exponential(size=3))[::-1] * [1.0, rng.choice([1.0, third]), third]
    h = (left * values * [1, 1, -1 if mirrored else 1]) @ right
    exact = values[0] + values[1] + (-1 if mirrored else 1) * values[2]
    assert rmsd._overlap(h) == pytest.approx(exact, abs=1e-12)
    for upper in (np.inf, 1.001 * exact, exact):
        bound = rmsd._overlap_bound(h, np.array(upper))
        assert exact <= bound < np.sqrt(3) * np.linalg.norm(values) * 1.000001


@pytest.mark.parametrize(("name", "value"), [("_CHUNK", 1), ("_STEPS", 0)])
def test_chunks_and_poor_bounds_change_nothing(monkeypatch, name, value):
    mol, x, y = two_sets("O=[N+]([O-])c1ccc(C(F)(F)F)cc1")
    expected = best_rmsd(x, y, matchings(mol).atoms)
    monkeypatch.setattr(rmsd, name, value)
    np.testing.assert_allclose(best_rmsd(x, y, matchings(mol).atoms), expected, atol=1e-12)


def test_too_many_matchings_give_an_upper_bound(monkeypatch):
    mol, x, y = two_sets("CC(C)(C)C(=O)[O-]")
    exact = best_rmsd(x, y, matchings(mol).atoms)
    monkeypatch.setattr(rmsd, "MAX_MATCHES", 12)
    assert matchings(mol).complete
    monkeypatch.setattr(rmsd, "MAX_MATCHES", 11)
    some = matchings(mol)
    assert not some.complete and len(some.atoms) == 11
    monkeypatch.setattr(rmsd, "MAX_MATCHES", 1)
    above = best_rmsd(x, y, matchings(mol).atoms) - exact
    assert above.min() > -1e-9 and above.max() > 0.1


def test_molecules_without_heavy_atoms_have_their_hydrogens_compared():
    mol = mol_from_smiles("[H][H]")
    short, long = (np.array([[[0.0, 0, 0], [length, 0, 0]]]) for length in (0.7, 0.9))
    assert best_rmsd(short, long, matchings(mol).atoms).item() == pytest.approx(0.1)
