"""Chiral axes of atropisomers and allenes, sides of cumulenes, and notes on marks that are not used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdDepictor, rdDistGeom
from scipy.spatial.transform import Rotation
from torch_geometric.data import Batch, Data

from graphscore.data import read, write
from graphscore.molecules.axes import UNUSED, sines
from graphscore.molecules.check import GeometryCheck
from graphscore.molecules.features import MoleculeGraph
from graphscore.molecules.files import mol_from_molblock, sdf_record
from graphscore.molecules.graph import bare_mol, data_from_mol, data_from_smiles, mol_from_data, set_positions
from graphscore.molecules.marks import stereo_mol
from graphscore.molecules.readers import graph_of

BINOL = "Oc1ccc2ccccc2c1-c1c(O)ccc2ccccc12"
M, P = f"{BINOL} |wD:10.10|", f"{BINOL} |wU:10.10|"  # the torsion between the carbons of both OH: negative, positive
# Four atoms at right angles about the axis from (0, 0, -1) to (0, 0, 1), seen from the first atom.
COUNTERCLOCKWISE = np.array([[1.0, 0, -1.5], [0, 0, -1], [0, 0, 1], [0, 1, 1.5]])


def torsion(data: Data, *atoms: int) -> float:
    """Sine of a torsion angle."""
    return float(sines(data["pos"].double().numpy()[None], np.array([atoms]))[0, 0])


def embedded(smiles: str, num: int = 4) -> list[Data]:
    """Graphs of a molecule with coordinates from distance geometry, with the marks that these have."""
    mol = stereo_mol(data_from_smiles(smiles))
    return [data_from_mol(mol, one) for one in rdDistGeom.EmbedMultipleConfs(mol, num, randomSeed=1)]


def turned(data: Data, torsion: float) -> Data:
    """The same with the last double bond of ``CC=C=C=CC`` turned about the chain; with the marks that it has then."""
    mol = mol_from_data(data)
    pos = mol.GetConformer().GetPositions()
    moved, (a, b, c, d) = [4, 5, 10, 11, 12, 13], (0, 1, 4, 5)
    axis = (pos[c] - pos[b]) / np.linalg.norm(pos[c] - pos[b])
    first, last = (np.cross(axis, vector) for vector in (pos[a] - pos[b], pos[d] - pos[c]))
    now = np.arctan2(np.cross(first, last) @ axis, first @ last)
    turn = Rotation.from_rotvec(axis * (np.radians(torsion) - now))
    pos[moved] = turn.apply(pos[moved] - pos[c]) + pos[c]
    set_positions(mol, pos)
    return data_from_mol(mol)


def test_sines_have_the_sign_of_the_torsion():
    mirrored = COUNTERCLOCKWISE * [1, -1, 1]
    values = sines(np.stack([COUNTERCLOCKWISE, mirrored]), np.array([[0, 1, 2, 3], [3, 2, 1, 0]]))
    np.testing.assert_allclose(values, [[1, 1], [-1, -1]], atol=1e-12)


def test_both_atropisomers_are_read_and_embedded_with_their_own_sign():
    assert data_from_smiles(M).axis_index.t().tolist() == [[9, 10, 11, 12]]
    assert data_from_smiles(P).axis_index.t().tolist() == [[1, 10, 11, 12]]
    for smiles, sign in ((M, -1), (P, 1)):
        for data in embedded(smiles, 10):
            assert sign * torsion(data, 1, 10, 11, 12) > 0.7


def flat_block(smiles: str, first: int, last: int, wedge: str, v3000: bool = False) -> str:
    """MOL block of a flat depiction with one wedge, ``"up"`` or ``"down"``, from an atom to its neighbor."""
    mol = Chem.MolFromSmiles(smiles)
    rdDepictor.Compute2DCoords(mol)
    number = mol.GetBondBetweenAtoms(first, last).GetIdx()
    lines = (Chem.MolToV3KMolBlock if v3000 else Chem.MolToMolBlock)(mol, kekulize=True).splitlines()
    if v3000:
        place = lines.index("M  V30 BEGIN BOND") + 1 + number
        lines[place] = f"M  V30 {number + 1} 1 {first + 1} {last + 1} CFG={1 if wedge == 'up' else 3}"
    else:
        lines[4 + mol.GetNumAtoms() + number] = f"{first + 1:3d}{last + 1:3d}  1  {1 if wedge == 'up' else 6}"
    return "\n".join(lines)


@pytest.mark.parametrize("wedge", ["up", "down"])
def test_an_atropisomer_goes_through_files_and_back(wedge: str):
    kekule = Chem.MolFromSmiles(BINOL)
    Chem.Kekulize(kekule, clearAromaticFlags=True)
    # Versions of RDKit differ in which bond of the ring is single: that one can be a wedge.
    last = next(n for n in (1, 9) if kekule.GetBondBetweenAtoms(10, n).GetBondType() == Chem.BondType.SINGLE)
    asked = graph_of(mol_from_molblock(flat_block(BINOL, 10, last, wedge)))
    assert asked.axis_index.shape == (4, 1) and "notes" not in asked
    mol = stereo_mol(asked)
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    sample = asked.clone()
    sample.pos = torch.from_numpy(mol.GetConformer().GetPositions()).float()
    again = graph_of(mol_from_molblock(sdf_record(sample).removesuffix("$$$$\n")))
    assert torch.equal(again.axis_index, asked.axis_index)
    sample.pos = -sample["pos"]  # what is written is what the coordinates are
    mirrored = graph_of(mol_from_molblock(sdf_record(sample).removesuffix("$$$$\n")))
    assert torsion(sample, *mirrored.axis_index[:, 0].tolist()) > 0.5
    assert not torch.equal(mirrored.axis_index, asked.axis_index)


@pytest.mark.parametrize("v3000", [False, True])
@pytest.mark.parametrize(
    ("smiles", "first", "last"), [("CC=C=C(F)Cl", 1, 0), ("CC=C=C(F)Cl", 3, 4), ("C(C)=C=CF", 0, 1)]
)
def test_wedges_at_allenes_lift_one_substituent(smiles: str, first: int, last: int, v3000: bool):
    axes = []
    for wedge in ("up", "down"):
        mol = mol_from_molblock(flat_block(smiles, first, last, wedge, v3000))
        data = graph_of(mol)
        assert "notes" not in data
        full = Chem.AddHs(mol, addCoords=True)
        pos = full.GetConformer().GetPositions()
        pos[last, 2] = 1 if wedge == "up" else -1
        axis = data.axis_index[:, 0].tolist()
        if last in axis:
            assert sines(pos[None], np.array([axis]))[0, 0] > 0.3
        axes.append(axis)
    assert axes[0] != axes[1]


@pytest.mark.parametrize("v3000", [False, True])
def test_wedges_that_mark_nothing_are_noted(v3000: bool):
    (note,) = graph_of(mol_from_molblock(flat_block("CC(C)C", 1, 0, "up", v3000))).notes
    assert note == f"{UNUSED}: wedge at atom 1 (C)"
    assert "notes" not in graph_of(mol_from_molblock(flat_block("CC(F)Cl", 1, 0, "down", v3000)))


def test_axes_are_node_numbers_in_batches_and_files(tmp_path: Path):
    data = data_from_smiles(M)
    batch = Batch.from_data_list([data, data])
    num = data.num_nodes or 0
    assert batch.axis_index.t().tolist() == [[9, 10, 11, 12], [9 + num, 10 + num, 11 + num, 12 + num]]
    write([data], tmp_path / "x.pt")
    assert torch.equal(read(tmp_path / "x.pt").items[0].axis_index, data.axis_index)
    assert "axis_index" not in MoleculeGraph()(data)
    assert all(bond.GetStereo() == Chem.BondStereo.STEREONONE for bond in bare_mol(data).GetBonds())
    assert all(bond.GetStereo() == Chem.BondStereo.STEREONONE for bond in mol_from_data(data).GetBonds())


def test_the_check_finds_axes_of_the_other_handedness_and_flat_ones():
    asked, (sample, *_) = data_from_smiles(M), embedded(M)
    check = GeometryCheck(asked)
    kinds = []
    for pos in (sample["pos"], -sample["pos"], sample["pos"] * torch.tensor([1.0, 1.0, 0.0])):
        faults = [fault for fault in check(pos[None])[0] if fault.kind == "axis"]
        kinds.append([(fault.atoms, fault.reason) for fault in faults])
        assert bool(check.passes(pos[None])[0]) == (len(kinds) == 1)
    expected = "expected a torsion C9-C10-C11-C12 from 0 to 180°"
    assert kinds[0] == []
    assert kinds[1] == [((10, 11), f"axis C10-C11 has the other handedness, {expected}")]
    assert kinds[2] == [((10, 11), f"axis C10-C11 is nearly flat, {expected}")]


@pytest.mark.parametrize(
    ("smiles", "first", "last", "sign"),  # the torsion of the named substituents
    [
        ("OC(Cl)=[C@]=C(C)F", (0, 1), (5, 4), 1),  # seen from O: Cl, C, F counterclockwise
        ("OC(Cl)=[C@@]=C(C)F", (0, 1), (5, 4), -1),
        ("OC(Cl)=[C@AL1]=C(C)F", (0, 1), (5, 4), 1),
        ("OC(Cl)=[C@AL2]=C(C)F", (0, 1), (5, 4), -1),
        ("OC(Cl)=[C@]=C(F)C", (0, 1), (6, 4), -1),
        ("C(Cl)=[C@]=CF", (1, 0), (4, 3), 1),  # hydrogens that are not written come first at both ends
        ("ClC=[C@]=CF", (0, 1), (4, 3), -1),  # but after the atom before
        ("[H]C(Cl)=[C@]=C([H])F", (2, 1), (6, 4), 1),
        ("[C@](=CF)=CCl", (2, 1), (4, 3), 1),
        ("C1(=[C@]=CF)CCOC1", (4, 0), (3, 2), 1),  # the closure of the ring comes first
        ("ClC=C=[C@]=C=CF", (0, 1), (6, 5), -1),
        ("ClC=C=[C@@]=C=CF", (0, 1), (6, 5), 1),
    ],
)
def test_allenes_have_the_handedness_of_their_string(smiles: str, first: tuple, last: tuple, sign: int):
    data = data_from_smiles(smiles)
    assert "notes" not in data
    ((a, b, c, d),) = data.axis_index.t().tolist()
    if b != first[1]:
        a, b, c, d = d, c, b, a
    assert (b, c) == (first[1], last[1])
    assert (-1) ** ((a != first[0]) + (d != last[0])) == sign


def test_the_allenes_of_coordinates_are_those_that_the_check_accepts():
    right, left = (data_from_smiles(f"C(Cl)=[{mark}]=CF") for mark in ("C@", "C@@"))
    signs = set()
    for sample in embedded("C(Cl)=[C@]=CF", 8):  # distance geometry knows nothing of the mark
        is_right = torch.equal(sample.axis_index, right.axis_index)
        assert is_right != torch.equal(sample.axis_index, left.axis_index)
        assert GeometryCheck(right).passes(sample["pos"][None]).tolist() == [is_right]
        assert GeometryCheck(left).passes(sample["pos"][None]).tolist() == [not is_right]
        signs.add(is_right)
    assert signs == {True, False}


@pytest.mark.parametrize(("smiles", "side"), [("C/C=C=C=C/C", 2), ("C/C=C=C=C\\C", 1), ("C/C=C=C=C/1.C1", 2)])
def test_butatrienes_are_cis_or_trans(smiles: str, side: int):
    data = data_from_smiles(smiles)
    sides = dict(zip(zip(*data.cis_trans_index.tolist(), strict=True), data.cis_trans.tolist(), strict=True))
    assert "notes" not in data and len(sides) == 8 and sides[0, 5] == sides[5, 0] == side
    assert sides[0, 10] == 3 - side
    (sample,) = embedded("CC=C=C=CC", 1)
    for torsion in (0, 90, 180):
        made = turned(sample, torsion)
        expected = {0: [1], 90: [], 180: [2]}[torsion]
        pairs = zip(*made.cis_trans_index.tolist(), made.cis_trans.tolist(), strict=True)
        assert [place for a, b, place in pairs if (a, b) == (0, 5)] == expected
        kinds = [fault.kind for fault in GeometryCheck(data)(made["pos"][None])[0] if fault.kind == "double bond"]
        assert (kinds == []) == (expected == [side])


@pytest.mark.parametrize(
    ("smiles", "places"),
    [
        ("C[C@H](C)C", "at atom 1 (C)"),
        ("CC=[C@]=C(C)C", "at atom 2 (C)"),
        ("CN=[C@]=NC", "at atom 2 (C)"),
        ("C[N@](CC)F", "at atom 1 (N)"),
        ("C/C(C)=C/C", "of bond 0-1, of bond 3-4"),
        ("F/C=C", "of bond 0-1"),
        ("C1CCC/C=C/1", "of bond 3-4, of bond 5-0"),
        ("C/C=C=C=C(/C)C", "of bond 0-1, of bond 4-5"),
        ("F[S@OH6](F)(F)(F)(F)Cl", "at atom 1 (S)"),
        ("C[C@H](C)[C@H](F)Cl", "at atom 1 (C)"),
    ],
)
def test_marks_that_are_not_used_are_noted(smiles: str, places: str):
    assert f"{UNUSED}: {places}" in data_from_smiles(smiles).notes


@pytest.mark.parametrize("smiles", ["C[C@H](F)Cl", "C/C=C/C=C/C", "F/C=C/1CC[C@H](C)C1", "C[C@H]1CC[C@@H](C)CC1", M])
def test_marks_that_are_used_are_not_noted(smiles: str):
    assert "notes" not in data_from_smiles(smiles)


def test_a_single_bond_between_equal_groups_is_no_axis():
    data = data_from_smiles("Cc1cccc(C)c1-c1c(O)ccc2ccccc12 |wU:7.7|")
    assert "axis_index" not in data
