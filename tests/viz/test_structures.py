from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from graphscore.data.molecules import Chem, data_from_mol, embed, mol_from_data, mol_from_smiles
from graphscore.viz.structures import ball_and_stick, color_of, superpose

SMILES = ["C[C@H](N)C(=O)O", "c1ccsc1", "C#CCO", "O=[N+]([O-])c1ccccc1", "CC", "C#C", "C", "[H][H]", "CC#CC"]


@cache
def conformer(smiles: str) -> Data:
    return data_from_mol(embed(mol_from_smiles(smiles), 1, seed=0, optimize=False))


def moved(data: Data, seed: int) -> Data:
    """The same conformer turned, shifted, and with its atoms in another order."""
    generator = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    mol = mol_from_data(data)
    pos = mol.GetConformer().GetPositions() @ rotation.T + generator.normal(size=3) * 5
    mol.GetConformer().SetPositions(pos)
    return data_from_mol(Chem.RenumberAtoms(mol, generator.permutation(mol.GetNumAtoms()).tolist()))


def farthest_pair(elements: np.ndarray, a: np.ndarray, other_elements: np.ndarray, b: np.ndarray) -> float:
    """Largest distance from any atom to the nearest of its kind in the other structure."""
    distances = np.linalg.norm(a[:, None] - b[None], axis=-1)
    distances[elements[:, None] != other_elements[None]] = np.inf
    return float(distances.min(axis=1).max())


@pytest.mark.parametrize("smiles", SMILES)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_moved_copy_is_laid_exactly_onto_its_original(smiles: str, seed: int) -> None:
    """Hydrogens too, also where all heavy atoms are on a line."""
    data = conformer(smiles)
    reference, (panel,) = superpose(data, [moved(data, seed)])
    assert panel.rmsd < 2e-3  # the root of a difference of sums, of which RDKit loses half the digits
    shape = panel.shape
    assert farthest_pair(shape.elements, shape.centers, reference.elements, reference.centers) < 2e-3


def test_a_mirror_image_is_not_laid_onto_its_original() -> None:
    data = conformer("C[C@H](N)C(=O)O")
    mirrored = data.clone()
    mirrored.pos = data.pos * torch.tensor([1.0, 1.0, -1.0])
    _, (panel,) = superpose(data, [mirrored])
    assert panel.rmsd > 0.1


@pytest.mark.parametrize("smiles", SMILES)
def test_the_pose_is_a_rigid_motion(smiles: str) -> None:
    data = conformer(smiles)
    shape, _ = superpose(data, [])
    pos = data.pos.double().numpy()
    distances = np.linalg.norm(pos[:, None] - pos[None], axis=-1)
    np.testing.assert_allclose(
        np.linalg.norm(shape.centers[:, None] - shape.centers[None], axis=-1), distances, atol=1e-9
    )
    if len(pos) > 3:  # the volume spanned by four atoms keeps its sign: no reflection
        before, after = (np.linalg.det(x[1:4] - x[0]) for x in (pos, shape.centers))
        assert after == pytest.approx(before, abs=1e-9)


def test_flat_molecules_show_their_broad_side() -> None:
    shape, _ = superpose(conformer("c1ccsc1"), [])
    width, height, depth = np.ptp(shape.centers, axis=0)
    assert width > depth and height > depth


def test_the_closest_comes_first_and_failures_last() -> None:
    data = conformer("O=[N+]([O-])c1ccccc1")
    noise = torch.randn(data.pos.shape, generator=torch.Generator().manual_seed(0))
    attempts: list[Data | None] = [None]
    for size in (0.3, float("nan"), 0.05, 0.1):
        attempt = data.clone()
        attempt.pos = data.pos + size * noise
        attempts.append(attempt)
    _, panels = superpose(data, attempts)
    rmsds = [panel.rmsd for panel in panels]
    assert rmsds == sorted(rmsds) and np.isfinite(rmsds).tolist() == [True] * 3 + [False] * 2
    assert rmsds[1] == pytest.approx(2 * rmsds[0], rel=0.1)
    assert [panel.failure for panel in panels[3:]] == ["nothing was generated", "its coordinates are not finite"]
    assert panels[3].shape is None and panels[4].shape is None


def test_the_graphs_stay_as_they_are() -> None:
    data = conformer("C#CCO")
    attempt = moved(data, 0)
    before = [item.clone() for item in (data, attempt)]
    superpose(data, [attempt])
    for item, old in zip((data, attempt), before, strict=True):
        assert item.keys() == old.keys()
        assert torch.equal(item.pos, old.pos) and torch.equal(item.bond, old.bond)


def test_pairs_without_a_bond_are_not_drawn() -> None:
    data = conformer("C#CCO")
    complete = data.clone()
    num = data.num_nodes
    complete.edge_index = torch.cartesian_prod(torch.arange(num), torch.arange(num)).t()
    bonds = torch.zeros(num, num, dtype=torch.long)
    bonds[data.edge_index[0], data.edge_index[1]] = data.bond
    complete.bond = bonds[complete.edge_index[0], complete.edge_index[1]]
    drawn, _ = superpose(data, [])
    same, _ = superpose(complete, [])
    assert {tuple(bond) for bond in drawn.stick_bonds.tolist()} == {tuple(bond) for bond in same.stick_bonds.tolist()}
    assert len(drawn.sticks) == len(same.sticks)


def test_another_molecule_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one molecule, but got \['CC', 'C#C'\]"):
        superpose(conformer("CC"), [conformer("C#C")])


def test_a_reference_needs_coordinates() -> None:
    data = conformer("CC").clone()
    del data.pos
    with pytest.raises(ValueError, match="'CC' has no pos"):
        superpose(data, [])


def test_a_single_bond_is_two_halves_from_ball_to_ball() -> None:
    mol = mol_from_smiles("F[H]")
    pos = np.array([[0.0, 0, 0], [2.0, 0, 0]])
    shape = ball_and_stick(mol, pos)
    start, end = 0.9 * shape.radii[0], 2 - 0.9 * shape.radii[1]
    middle = (start + end) / 2
    np.testing.assert_allclose(shape.sticks[:, :, 0], [[start, middle], [middle, end]])
    np.testing.assert_array_equal(shape.sticks[:, :, 1:], 0)
    np.testing.assert_array_equal(shape.stick_elements, [9, 1])


@pytest.mark.parametrize(("smiles", "strands"), [("CC", 1), ("C=C", 2), ("C#C", 3)])
def test_bond_orders_are_parallel_strands(smiles: str, strands: int) -> None:
    shape, _ = superpose(conformer(smiles), [])
    between = (shape.elements[shape.stick_bonds] == 6).all(axis=1)
    assert between.sum() == 2 * strands
    i, j = shape.stick_bonds[between][0]
    axis = shape.centers[j] - shape.centers[i]
    away = shape.sticks[between].mean(axis=1) - shape.centers[i]
    across = away - np.outer(away @ axis, axis) / (axis @ axis)
    np.testing.assert_allclose(across.sum(axis=0), 0, atol=1e-9)
    distinct = {round(float(d), 6) for d in np.linalg.norm(across, axis=1)}
    assert len(distinct) == (2 if strands == 3 else 1)


def test_the_strands_of_a_double_bond_are_in_its_plane() -> None:
    shape, _ = superpose(conformer("C=C"), [])
    normal = np.linalg.svd(shape.centers - shape.centers.mean(axis=0))[2][2]
    np.testing.assert_allclose((shape.sticks - shape.centers.mean(axis=0)) @ normal, 0, atol=0.02)


@pytest.mark.parametrize("smiles", ["c1ccccc1", "c1ccc2ccccc2c1"])
def test_dashes_of_aromatic_bonds_are_inside_a_ring(smiles: str) -> None:
    mol = mol_from_data(conformer(smiles))
    pos = mol.GetConformer().GetPositions()
    shape = ball_and_stick(mol, pos)
    rings = [pos[list(ring)].mean(axis=0) for ring in mol.GetRingInfo().AtomRings()]
    dashes = np.isclose(shape.stick_radii, 0.05)
    assert dashes.sum() >= 2 * sum(bond.GetIsAromatic() for bond in mol.GetBonds())
    for ends, (i, j) in zip(shape.sticks[dashes], shape.stick_bonds[dashes], strict=True):
        assert any(
            np.linalg.norm(ends.mean(axis=0) - center) < np.linalg.norm(pos[[i, j]].mean(axis=0) - center) - 0.05
            for center in rings
        )


def test_atoms_in_one_place_are_drawn_without_bonds() -> None:
    """A model that was not trained may put them there."""
    for smiles in ("O=[N+]([O-])c1ccccc1", "C=C"):
        data = conformer(smiles).clone()
        data.pos = torch.zeros_like(data.pos)
        reference, (panel,) = superpose(conformer(smiles), [data])
        assert len(panel.shape.sticks) == 0
        assert np.isfinite(panel.shape.centers).all() and np.isfinite(panel.rmsd)
        assert len(reference.sticks) > 0


def test_elements_have_the_usual_colors() -> None:
    red, green, blue = (int(color_of(8)[k : k + 2], 16) for k in (1, 3, 5))
    assert red > 3 * max(green, blue)
    assert color_of(7) != color_of(6) != color_of(1)
    assert color_of(92) == color_of(94) == "#ff69b4"
