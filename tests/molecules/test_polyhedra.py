"""Centres with five and more electron pairs."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

pytest.importorskip("rdkit")

from graphscore.molecules.check import GeometryCheck
from graphscore.molecules.conformers import ConformerModel
from graphscore.molecules.forcefield import ForceField
from graphscore.molecules.graph import bare_mol, data_from_smiles
from graphscore.molecules.hydrogens import HydrogenPlacer
from graphscore.molecules.polyhedra import Polyhedra, has_polyhedra, polyhedral_centres, rigid_pairs
from graphscore.molecules.smiles import mol_from_smiles

OCTAHEDRON = [90] * 12 + [180] * 3
BIPYRAMID = [90] * 6 + [120] * 3 + [180]
# Angles of the centre in degrees; experiments for ClF3-like T shapes give 87, for SF4 102 and 173, for BrF5 85.
SHAPES = {
    "F[P-](F)(F)(F)(F)F": OCTAHEDRON, "FS(F)(F)(F)(F)F": OCTAHEDRON, "S(F)(F)(F)(F)F": OCTAHEDRON,
    "Cc1ccc(cc1)S(F)(F)(F)(F)F": OCTAHEDRON, "Cc1ccc(cc1)[S@OH6](F)(F)(F)(F)F": OCTAHEDRON,
    "F[Si-2](F)(F)(F)(F)F": OCTAHEDRON, "F[As-](F)(F)(F)(F)F": OCTAHEDRON, "FP(F)(F)(F)F": BIPYRAMID,
    "ClP(Cl)(Cl)(Cl)Cl": BIPYRAMID, "FI(F)(F)(F)F": [85] * 4 + [90] * 4 + [170] * 2,
    "Cl[I-](Cl)(Cl)Cl": [90] * 4 + [180] * 2, "F[Xe](F)(F)F": [90] * 4 + [180] * 2, "FS(F)(F)F": [87] * 4 + [102, 173],
}  # fmt: skip


def _angles(pos, centre, ligands):
    arms = pos[ligands] - pos[centre]
    arms /= np.linalg.norm(arms, axis=1, keepdims=True)
    cosines = [arms[i] @ arms[j] for i, j in combinations(range(len(arms)), 2)]
    return sorted(np.degrees(np.arccos(np.clip(cosines, -1, 1))).tolist())


def _around(mol):
    (centre,) = polyhedral_centres(mol)
    return centre, [other.GetIdx() for other in mol.GetAtomWithIdx(centre).GetNeighbors()]


def _strange(graph, seed):
    """Coordinates as of a model that knows no such centres: bonds of 1.4 Å in random directions."""
    rng, mol = np.random.default_rng(seed), bare_mol(graph)
    pos = np.zeros((mol.GetNumAtoms(), 3))
    for bond in mol.GetBonds():
        first, last = sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
        arm = rng.normal(size=3)
        pos[last] = pos[first] + 1.4 * arm / np.linalg.norm(arm)
    return pos


@pytest.mark.parametrize("smiles", [key for key in SHAPES if "c1" not in key])
@pytest.mark.parametrize("seed", [0, 1])
def test_angles_and_lengths_are_ideal(smiles, seed):
    graph = data_from_smiles(smiles)
    mol = bare_mol(graph)
    pos = Polyhedra(mol).idealise(_strange(graph, seed))
    assert _angles(pos, *_around(mol)) == pytest.approx(SHAPES[smiles], abs=2)
    assert GeometryCheck(graph)(pos[None]) == [()]


FOUR = ["CCO", "CS(C)(=O)=O", "C[S@](=O)CC", "OP(=O)(O)O", "[O-]Cl(=O)(=O)=O", "Ic1ccccc1", "c1ccsc1", "[Na]Cl"]
FOUR += ["F[B-](F)(F)F", "C[P+](C)(C)C", "CS(=O)(=O)N", "c1ccccc1[I+]c1ccccc1"]


@pytest.mark.parametrize("smiles", FOUR)
def test_other_centres_are_none(smiles):
    assert not has_polyhedra(mol_from_smiles(smiles))
    assert not rigid_pairs(mol_from_smiles(smiles))


def test_electronegative_ligands_are_axial_and_chelates_span_neighbors():
    mol = mol_from_smiles("CP(C)(C)(F)F")
    (centre, ligands), fluorines = _around(mol), [4, 5]
    pos = Polyhedra(mol).idealise(_strange(data_from_smiles("CP(C)(C)(F)F"), 3))
    assert _angles(pos, centre, fluorines) == pytest.approx([180])
    assert _angles(pos, centre, [atom for atom in ligands if atom not in fluorines]) == pytest.approx([120] * 3)
    mol = mol_from_smiles("C1COP2(O1)(OCCO2)c1ccccc1")
    pos = Polyhedra(mol).idealise(_strange(data_from_smiles("C1COP2(O1)(OCCO2)c1ccccc1"), 3))
    assert _angles(pos, 3, [2, 4]) == pytest.approx([90])
    assert _angles(pos, 3, [5, 8]) == pytest.approx([90])


def test_branches_are_rigid_and_turn_out_of_the_way():
    graph = data_from_smiles("CC(=O)OI(OC(C)=O)c1ccccc1")
    mol = bare_mol(graph)
    start = _strange(graph, 5)
    polyhedra = Polyhedra(mol)
    pos = polyhedra.idealise(start)
    assert _angles(pos, 4, [3, 9]) == pytest.approx([87.5], abs=0.1) and _angles(pos, 4, [3, 5]) == pytest.approx([175])
    for branch in ([0, 1, 2, 3], [5, 6, 7, 8], [9, 10, 11, 12, 13, 14]):
        here, there = (torch.cdist(*[torch.from_numpy(points[branch])] * 2) for points in (start, pos))
        assert torch.allclose(here, there)
    assert np.array_equal(pos[4], start[4])


def test_hydrogens_on_such_centres_are_placed():
    graph = data_from_smiles("S(F)(F)(F)(F)F")
    placer = HydrogenPlacer(graph, torch.arange(6))
    item = placer(torch.from_numpy(_strange(graph, 1)[:6]).float())
    distances = torch.cdist(item.pos, item.pos)
    assert distances[0, 6] == pytest.approx(1.34, abs=0.01)
    assert distances[6, 1:6].min() > 1.9


def test_the_check_refuses_bent_octahedra():
    graph = data_from_smiles("F[P-](F)(F)(F)(F)F")
    pos = Polyhedra(bare_mol(graph)).idealise(_strange(graph, 0))
    bent = pos.copy()
    arms = pos - pos[1]
    first, last = next(pair for pair in combinations([0, 2, 3, 4], 2) if abs(arms[pair[0]] @ arms[pair[1]]) < 0.1)
    turn = np.radians(15)
    bent[first] = pos[1] + np.cos(turn) * arms[first] + np.sin(turn) * arms[last]
    assert [fault.kind for fault in GeometryCheck(graph)(bent[None])[0]] == ["angle"]


@pytest.mark.parametrize("smiles", ["F[P-](F)(F)(F)(F)F.C[NH3+]", "N#N.O=C=O", "[H][H].O=O.N"])
def test_force_fields_keep_what_they_do_not_know(smiles):
    graph = data_from_smiles(smiles)
    mol = bare_mol(graph)
    (outcome,) = ConformerModel.load().sample([smiles], seed=1)
    pos = outcome.samples[0].pos.double().numpy()
    relaxed, energy, _ = ForceField(mol, or_uff=True).relax(pos)
    assert not GeometryCheck(graph)(relaxed[None])[0]
    assert energy == pytest.approx(ForceField(mol, or_uff=True).energy(relaxed))
    for bond in mol.GetBonds():
        ends = [bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()]
        if not {6, 7} >= set(graph.z[ends].tolist()) - {1} or mol.GetNumAtoms() < 6:
            lengths = [np.linalg.norm(points[ends[0]] - points[ends[1]]) for points in (pos, relaxed)]
            assert lengths[1] == pytest.approx(lengths[0], abs=0.03)


@pytest.mark.parametrize(
    "smiles", ["F[P-](F)(F)(F)(F)F", "Cc1ccc(cc1)[S@OH6](F)(F)(F)(F)F", "ClI(Cl)c1ccccc1", "C1COP2(O1)(OCCO2)C"]
)
def test_sampled(smiles):
    (outcome,) = ConformerModel.load().sample([smiles], num=2, seed=2)
    graph = outcome.samples[0]
    centre, ligands = _around(bare_mol(graph))
    for sample in outcome.samples:
        assert not [fault for fault in GeometryCheck(graph)(sample.pos[None].numpy())[0] if not fault.doubtful]
        assert min(_angles(sample.pos.double().numpy(), centre, ligands)) > 84
