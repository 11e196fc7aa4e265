from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import data_from_mol, mol_from_data
from graphscore.molecules.show.structures import Shape, ball_and_stick, color_of
from graphscore.molecules.smiles import mol_from_smiles


@cache
def conformer(smiles: str) -> Data:
    return data_from_mol(embed(mol_from_smiles(smiles), 1, seed=0, optimize=False))


def shape_of(data: Data) -> Shape:
    return ball_and_stick(mol_from_data(data), data.pos.double().numpy())


def test_pairs_without_a_bond_are_not_drawn() -> None:
    data = conformer("C#CCO")
    complete = data.clone()
    num = data.num_nodes
    complete.edge_index = torch.cartesian_prod(torch.arange(num), torch.arange(num)).t()
    bonds = torch.zeros(num, num, dtype=torch.long)
    bonds[data.edge_index[0], data.edge_index[1]] = data.bond
    complete.bond = bonds[complete.edge_index[0], complete.edge_index[1]]
    drawn, same = shape_of(data), shape_of(complete)
    assert {tuple(bond) for bond in drawn.stick_bonds.tolist()} == {tuple(bond) for bond in same.stick_bonds.tolist()}
    assert len(drawn.sticks) == len(same.sticks)


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
    shape = shape_of(conformer(smiles))
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
    shape = shape_of(conformer("C=C"))
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
        shape = shape_of(data)
        assert len(shape.sticks) == 0 and np.isfinite(shape.centers).all()
        assert len(shape_of(conformer(smiles)).sticks) > 0


def test_elements_have_the_usual_colors() -> None:
    red, green, blue = (int(color_of(8)[k : k + 2], 16) for k in (1, 3, 5))
    assert red > 3 * max(green, blue)
    assert color_of(7) != color_of(6) != color_of(1)
    assert color_of(92) == color_of(94) == "#ff69b4"
