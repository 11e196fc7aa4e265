"""Which atoms are held, and where: exactly those meant, or an error that says why not."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("rdkit")

from rdkit import Chem
from torch_geometric.data import Data

from graphscore.data import write
from graphscore.molecules.embedding import embed
from graphscore.molecules.features import MoleculeGraph
from graphscore.molecules.fragments import Fragment
from graphscore.molecules.graph import data_from_mol, data_from_smiles
from graphscore.molecules.smiles import mol_from_smiles


def conformer(smiles: str, order: list[int] | None = None) -> Data:
    mol = embed(mol_from_smiles(smiles), 1, seed=1)
    return data_from_mol(mol if order is None else Chem.RenumberAtoms(mol, order))


def find(fragment: Fragment, smiles: str, hydrogens: bool = False) -> tuple[list[int], torch.Tensor]:
    """Atoms of the molecule and their coordinates."""
    item = data_from_smiles(smiles)
    graph = MoleculeGraph(hydrogens)(item)
    rows, pos = fragment.find(item, graph)
    return graph.kept[rows].tolist(), pos


def test_atoms_come_to_the_place_of_those_they_match():
    template = conformer("OCC(=O)[O-]", order=[5, 4, 3, 2, 1, 0, 6, 7])
    fragment = Fragment("C(=O)[O-]", template)
    for hydrogens in (False, True):
        atoms, pos = find(fragment, "[O-]C(=O)CCl", hydrogens)
        assert atoms == [1, 2, 0]
        for atom, place in zip(atoms, pos, strict=True):
            there = int((template.pos - place).norm(dim=1).argmin())
            assert torch.equal(template.pos[there], place)
            original = data_from_smiles("[O-]C(=O)CCl")
            assert (template.z[there], template.charge[there]) == (original.z[atom], original.charge[atom])


@pytest.mark.parametrize("smiles", ["Cc1ccccc1F", "Fc1c(C)cccc1", "c1ccc(F)c(C)c1"])
def test_a_ring_is_turned_such_that_neighbors_agree(smiles: str):
    """The pattern alone fits in twelve ways."""
    template = conformer("CCc1ccccc1F")
    atoms, pos = find(Fragment("c1ccccc1", template), smiles)
    item = data_from_smiles(smiles)
    source, target = item["edge_index"]
    for atom, place in zip(atoms, pos, strict=True):
        neighbors = set(item.z[source[target == atom]].tolist())
        there = int((template.pos - place).norm(dim=1).argmin())
        begin, end = template["edge_index"]
        assert neighbors == set(template.z[begin[end == there]].tolist())


def test_centres_keep_their_handedness():
    fragment = Fragment("CC(F)Cl", conformer("C[C@H](F)Cl"))
    assert find(fragment, "C[C@H](F)Cl")[0] == [0, 1, 2, 3]
    assert find(fragment, "CC(F)Cl")[0] == [0, 1, 2, 3]  # not marked: free
    with pytest.raises(ValueError, match="another handedness"):
        find(fragment, "C[C@@H](F)Cl")


def test_of_several_ways_one_with_the_right_handedness_is_taken():
    """A pattern that cannot tell two arms of a centre apart; laid on the other way, it would be a mirror image."""
    template = conformer("N[C@H](CF)CCl")
    for smiles in ("N[C@H](CF)CCl", "N[C@@H](CF)CCl"):
        atoms, pos = find(Fragment("NC(C)C", template), smiles)
        item = data_from_smiles(smiles)
        graph = MoleculeGraph()(item)
        for x, a, b, c in graph.chiral_index.t().tolist():
            place = {atom: pos[number].double() for number, atom in enumerate(atoms)}
            x, a, b, c = (place[int(graph.kept[row])] for row in (x, a, b, c))
            assert torch.linalg.det(torch.stack([a - x, b - x, c - x])) > 0


@pytest.mark.parametrize(
    ("smarts", "words"),
    [
        ("C(", "Expected a SMARTS pattern .*'C\\('"),
        ("", "Expected a SMARTS pattern"),
        ("S", "no heavy atoms of the template"),
        ("[#1]", "no heavy atoms of the template"),
        ("[CX4]", r"2 sets of atoms \(0; 1\) of the template"),
    ],
)
def test_errors_of_pattern_and_template(smarts: str, words: str):
    with pytest.raises(ValueError, match=words):
        Fragment(smarts, conformer("CCO"))


def test_errors_of_the_molecule():
    fragment = Fragment("CO", conformer("CO"))
    with pytest.raises(ValueError, match="no heavy atoms of the molecule"):
        find(fragment, "CCN")
    with pytest.raises(ValueError, match=r"2 sets of atoms \(0, 1; 2, 3\) of the molecule"):
        find(fragment, "OCCO")


def test_reads_the_template_from_a_file(tmp_path):
    one, path = conformer("CCO"), tmp_path / "a.sdf"
    write([one], path)
    torch.testing.assert_close(Fragment.read("CO", path).pos, one.pos[1:3], atol=1e-4, rtol=0)
    write([one, one], path)
    with pytest.raises(ValueError, match="Expected one molecule in the template .*, but read 2"):
        Fragment.read("CO", path)
    (tmp_path / "a.smi").write_text("CCO\n")
    with pytest.raises(ValueError, match="no coordinates"):
        Fragment.read("CO", tmp_path / "a.smi")
    with pytest.raises(FileNotFoundError):
        Fragment.read("CO", tmp_path / "none.sdf")
