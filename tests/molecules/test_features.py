"""What a network is told of a molecule: exact small cases."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data

pytest.importorskip("rdkit")

from graphscore.molecules.embedding import embed
from graphscore.molecules.features import MAX_HOPS, NUM_ATOM_FEATURES, NUM_PAIR_FEATURES, MoleculeGraph
from graphscore.molecules.graph import Chem, bare_mol, data_from_mol, data_from_smiles
from graphscore.molecules.smiles import mol_from_smiles
from graphscore.nn.layers.signed_volumes import handedness

HOPS = slice(6, 6 + MAX_HOPS + 2)
RINGS = slice(HOPS.stop, HOPS.stop + 7)
SIDES = slice(RINGS.stop, RINGS.stop + 2)
TORSIONS = slice(SIDES.stop, NUM_PAIR_FEATURES)


def pair(graph: Data, i: int, j: int) -> torch.Tensor:
    source, target = graph["edge_index"]
    (row,) = ((source == i) & (target == j)).nonzero()[:, 0].tolist()
    return graph.pair[row]


@pytest.mark.parametrize(
    ("smiles", "hydrogens", "kept"),
    [("CCO", False, [0, 1, 2]), ("CCO", True, list(range(9))), ("[H][H]", False, [0, 1]), ("[H+].[Cl-]", False, [0, 1]),
     ("[H]OC", False, [1, 2]), ("C", False, [0])],
)  # fmt: skip
def test_which_atoms_are_nodes(smiles: str, hydrogens: bool, kept: list[int]):
    data = data_from_smiles(smiles)
    graph = MoleculeGraph(hydrogens)(data)
    assert graph.kept.tolist() == kept
    assert graph.z.tolist() == data.z[kept].tolist()
    assert graph.num_nodes == len(kept)
    assert graph["edge_index"].shape == (2, len(kept) * (len(kept) - 1))
    assert graph.atom.shape == (len(kept), NUM_ATOM_FEATURES)
    assert graph.pair.shape == (graph["edge_index"].shape[1], NUM_PAIR_FEATURES)


def test_acrylamide_is_exactly_this():
    """C=CC(N)=O: kinds of bond, hops and the bond amid."""
    graph = MoleculeGraph()(data_from_smiles("C=CC(N)=O"))
    kinds = {(i, j): int(bond) for i, j, bond in zip(*graph["edge_index"].tolist(), graph.bond, strict=True)}
    assert {ends: bond for ends, bond in kinds.items() if bond and ends[0] < ends[1]} == {
        (0, 1): 2, (1, 2): 1, (2, 3): 1, (2, 4): 2,
    }  # fmt: skip
    assert pair(graph, 0, 1)[:6].tolist() == [0, 1, 0, 0, 1, 0]  # a double bond, conjugated, in no ring
    assert pair(graph, 0, 2)[HOPS].tolist() == [0, 1, 0, 0, 0, 0, 0, 0]
    assert pair(graph, 0, 4)[HOPS].tolist() == [0, 0, 1, 0, 0, 0, 0, 0]
    assert pair(graph, 0, 4)[TORSIONS].tolist() == [0, 0, 0, 1, 0]  # across a conjugated single bond
    assert pair(graph, 4, 0).tolist() == pair(graph, 0, 4).tolist()
    charge, aromatic, *degree = graph.atom[2].tolist()[:7]
    assert (charge, aromatic, degree) == (0, 0, [0, 0, 0, 1, 0])
    assert graph.atom[0].tolist()[7:12] == [0, 0, 1, 0, 0]  # two hydrogens
    assert graph.atom[0].tolist()[12:15] == [0, 1, 0]  # sp2


@pytest.mark.parametrize("max_hops", [1, 3])
def test_pairs_further_apart_can_be_left_out(max_hops: int):
    """What is left is described as among all pairs, in the same order."""
    data = data_from_smiles("CC(=O)NCCc1ccccc1.[Na+]")
    full, near = MoleculeGraph()(data), MoleculeGraph(max_hops=max_hops)(data)
    hops = torch.from_numpy(Chem.GetDistanceMatrix(bare_mol(data)))
    kept = hops[full.edge_index[0], full.edge_index[1]] <= max_hops
    assert 0 < int(kept.sum()) < len(kept)
    assert near.edge_index.tolist() == full.edge_index[:, kept].tolist()
    assert near.pair.tolist() == full.pair[kept].tolist() and near.bond.tolist() == full.bond[kept].tolist()
    with pytest.raises(ValueError, match="max_hops must be at least 1, but is 0"):
        MoleculeGraph(max_hops=0)


def test_the_environment_is_a_category_of_the_graph():
    """0 where it is not told; unknown ones are refused, and it is not there unless it is asked for."""
    data, told = data_from_smiles("CCO"), data_from_smiles("CCO")
    told.environment = "crystal"
    seen = [MoleculeGraph(environment=True)(one) for one in (data, told)]
    assert Batch.from_data_list(seen).environment.tolist() == [1, 2]  # without one: the gas phase
    assert not isinstance(MoleculeGraph()(told).get("environment"), torch.Tensor)
    told.environment = "water"
    with pytest.raises(ValueError, match="one of .*'crystal'.* but is 'water'"):
        MoleculeGraph(environment=True)(told)


def test_rings_and_separate_components():
    graph = MoleculeGraph()(data_from_smiles("C1CC1C1CCCCCCCC1.[Na+]"))
    assert pair(graph, 0, 1)[RINGS].tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert pair(graph, 3, 6)[RINGS].tolist() == [0, 0, 0, 0, 0, 0, 1]  # nine is large
    assert pair(graph, 0, 3)[RINGS].tolist() == [0] * 7
    assert pair(graph, 0, 12)[HOPS].tolist() == [0, 0, 0, 0, 0, 0, 0, 1]
    assert float(graph.atom[12, 0]) == 1


def test_sides_of_double_bonds_are_pairs_of_heavy_atoms():
    graph = MoleculeGraph()(data_from_smiles("F/C=C/Cl"))
    assert pair(graph, 0, 3)[SIDES].tolist() == [0, 1]
    assert float(graph.pair[:, SIDES].sum()) == 2
    assert float(MoleculeGraph()(data_from_smiles("FC=CCl")).pair[:, SIDES].sum()) == 0


@pytest.mark.parametrize("hydrogens", [False, True])
@pytest.mark.parametrize(
    ("smiles", "heavy", "all_atoms"),
    [("C[C@H](F)Cl", 1, 4), ("C[C@@](N)(CC#N)C(=O)O", 4, 4), ("CC[S@](=O)C", 1, 1), ("[H][C@](F)(Cl)Br", 1, 4),
     ("C[C@@]12CCOCO[C@@H]1C2", 5, 8), ("CC(F)Cl", 0, 0)],
)  # fmt: skip
def test_triples_turn_as_the_molecule_does(smiles: str, hydrogens: bool, heavy: int, all_atoms: int):
    """In a conformer of the molecule all determinants are positive, in one of its mirror image all are negative."""
    mol = embed(mol_from_smiles(smiles), 1, seed=3)
    graph = MoleculeGraph(hydrogens)(data_from_smiles(smiles))
    assert graph.chiral_index.shape == (4, all_atoms if hydrogens else heavy)
    pos = data_from_mol(mol).pos[graph.kept].double()
    for triple in graph.chiral_index.t():
        assert float(handedness(pos, triple[:, None])[0].sum()) > 0
        assert float(handedness(pos * torch.tensor([-1, 1, 1]), triple[:, None])[0].sum()) < 0


def test_triples_move_on_in_batches():
    graphs = [MoleculeGraph()(data_from_smiles(smiles)) for smiles in ("CC", "C[C@H](F)Cl")]
    batch = Batch.from_data_list(graphs)
    assert batch.chiral_index.tolist() == (graphs[1].chiral_index + 2).tolist()


def test_what_is_no_molecule_is_refused():
    with pytest.raises(ValueError, match="z"):
        MoleculeGraph()(Data(pos=torch.zeros(2, 3)))
