"""Molecules as networkx graphs and GraphML files of other programs: hydrogens, names of attributes, several graphs."""

from __future__ import annotations

import gzip
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch

pytest.importorskip("rdkit")

from rdkit import Chem

from graphscore.data import from_networkx, read, to_networkx
from graphscore.molecules.embedding import embed
from graphscore.molecules.features import MoleculeGraph
from graphscore.molecules.graph import data_from_mol, data_from_smiles
from graphscore.molecules.smiles import mol_from_smiles


def graph_of(smiles: str, hydrogens: bool = False, counts: bool = True) -> nx.Graph:
    """The graph of a molecule as pysmiles makes it."""
    mol = Chem.MolFromSmiles(smiles)
    mol = Chem.AddHs(mol) if hydrogens else mol
    graph = nx.Graph()
    for atom in mol.GetAtoms():
        graph.add_node(atom.GetIdx(), element=atom.GetSymbol(), charge=atom.GetFormalCharge())
        if counts:
            graph.nodes[atom.GetIdx()]["hcount"] = atom.GetTotalNumHs()
    for bond in mol.GetBonds():
        graph.add_edge(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), order=bond.GetBondTypeAsDouble())
    return graph


def single(number: int) -> nx.Graph:
    """An atom of a number that need not be that of an element."""
    graph = nx.Graph()
    graph.add_node(0, atomic_num=number, hcount=1)
    return graph


@pytest.mark.parametrize("smiles", ["CCO", "c1ccncc1", "CC(=O)[O-].C[NH3+]", "O=C=O", "C[N+](=O)[O-]", "O"])
@pytest.mark.parametrize("hydrogens", [True, False])
@pytest.mark.parametrize("counts", [True, False])
def test_hydrogens_may_be_nodes_numbers_or_left_out(smiles: str, hydrogens: bool, counts: bool):
    data = from_networkx(graph_of(smiles, hydrogens, counts))
    expected = data_from_smiles(smiles)
    assert data.smiles == expected.smiles
    assert sorted(data.z.tolist()) == sorted(expected.z.tolist()) and data.num_nodes == expected.num_nodes
    assert len(MoleculeGraph()(data).atom) == int((data.z > 1).sum())


def test_numbers_of_hydrogens_make_radicals_where_they_say_so():
    graph = graph_of("CCO")
    graph.nodes[0]["hcount"] = 2
    assert from_networkx(graph).smiles == "[CH2]CO"
    graph.nodes[0]["hcount"] = 4
    with pytest.raises(ValueError, match="valence"):
        from_networkx(graph)
    graph.nodes[0]["hcount"] = 259
    with pytest.raises(ValueError, match="0 to 8 hydrogens at node 0, but its number is 259"):
        from_networkx(graph)
    for number in (-1, 300, 10**12):
        with pytest.raises(ValueError, match=f"atomic number of an element at node 0, but it is {number}"):
            from_networkx(single(number))


def test_numbers_that_count_the_nodes_add_none():
    graph = graph_of("CCO", hydrogens=True)
    for node in graph:
        graph.nodes[node]["hcount"] = sum(graph.nodes[other]["element"] == "H" for other in graph[node])
    assert from_networkx(graph).num_nodes == 9


def test_names_of_attributes_of_exported_molecules():
    mol = Chem.MolFromSmiles("C[NH2+]c1cc[nH]c1")
    graph = nx.Graph()
    for atom in mol.GetAtoms():
        graph.add_node(
            atom.GetIdx(),
            atomic_num=atom.GetAtomicNum(),
            formal_charge=atom.GetFormalCharge(),
            num_explicit_hs=atom.GetNumExplicitHs(),
        )
    for form in (str, lambda kind: f"BondType.{kind}"):
        for bond in mol.GetBonds():
            graph.add_edge(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), bond_type=form(bond.GetBondType()))
        assert from_networkx(graph).smiles == Chem.CanonSmiles("C[NH2+]c1cc[nH]c1")


def test_coordinates_give_the_marks_and_drawings_give_none():
    mol = embed(mol_from_smiles("C[C@H](F)/C=C/Cl"), 1, seed=0)
    pos = mol.GetConformer().GetPositions()
    graph = graph_of(Chem.MolToSmiles(mol), counts=False)
    order = list(mol.GetSubstructMatch(Chem.MolFromSmiles(Chem.MolToSmiles(mol))))
    whole = nx.Graph(graph)
    nx.set_node_attributes(whole, {node: pos[order[node]] for node in whole}, "pos")
    expected = data_from_mol(mol)
    data = from_networkx(whole)
    assert data.smiles == expected.smiles == "C[C@H](F)/C=C/Cl"
    assert data.chirality.abs().sum() == 1 and data.cis_trans.tolist() == expected.cis_trans.tolist()
    assert data.pos.shape == (data.num_nodes, 3)
    nx.set_node_attributes(graph, {node: pos[order[node], :2] for node in graph}, "pos")
    assert "pos" not in from_networkx(graph) and from_networkx(graph).smiles == "CC(F)C=CCl"


def test_a_declared_diradical_of_ours_stays_one():
    data = data_from_smiles("[O][O]")
    assert from_networkx(to_networkx(data)).num_nodes == 2


def test_the_input_graph_needs_no_marks():
    data = data_from_smiles("CCO")
    bare = data.clone()
    del bare.chirality, bare.cis_trans, bare.cis_trans_index
    one, other = MoleculeGraph()(data), MoleculeGraph()(bare)
    assert torch.equal(one.atom, other.atom) and torch.equal(one.pair, other.pair)


@pytest.mark.parametrize("name", ["a.graphml", "a.graphml.gz"])
def test_all_graphs_of_a_file_are_read_and_one_by_one(tmp_path: Path, name: str):
    parts = []
    for smiles in ("CCO", "CC", "CN"):
        parts.append("".join(nx.generate_graphml(graph_of(smiles), named_key_ids=True)))
    head = parts[0][: parts[0].index("<graph ")]
    bodies = [part[part.index("<graph ") : part.index("</graphml>")] for part in parts]
    bodies[1] = bodies[1].replace('target="1"', 'target="7"').replace(">C<", ">Xx<")
    bodies = [body.replace("<graph ", f'<graph id="g{number}" ') for number, body in enumerate(bodies)]
    content = (head + "".join(bodies) + "</graphml>").encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    result = read(tmp_path / name)
    assert [(item.smiles, item.name) for item in result.items] == [("CCO", "g0"), ("CN", "g2")]
    assert [failure.location for failure in result.failures] == ["graph 2"]
    assert np.isin(result.items[0].z, [1, 6, 8]).all()


def test_a_file_without_its_namespace_and_one_without_graphs(tmp_path: Path):
    body = '<graph edgedefault="undirected"><node id="a"/><node id="b"/><edge source="a" target="b"/></graph>'
    (tmp_path / "a.graphml").write_text(f"<graphml>{body}</graphml>")
    assert read(tmp_path / "a.graphml").items[0].edge_index.tolist() == [[0, 1], [1, 0]]
    (tmp_path / "b.graphml").write_text('<?xml version="1.0" encoding="UT--8"?><graphml/>')
    with pytest.raises(ValueError, match="as GraphML: unknown encoding"):
        read(tmp_path / "b.graphml")
    (tmp_path / "b.graphml").write_text("<graphml/>")
    with pytest.raises(ValueError, match="holds no records"):
        read(tmp_path / "b.graphml")


def exported(marks: list[str], **bond: object) -> nx.Graph:
    """1-Fluoroethanol with its marks, as recipes export it from RDKit."""
    graph = nx.Graph()
    for row, (number, mark) in enumerate(zip((6, 6, 8, 9), marks, strict=True)):
        graph.add_node(row, atomic_num=number, formal_charge=0, chiral_tag=mark)
    graph.add_edges_from([(0, 1), (1, 2), (1, 3)], **bond)
    return graph


def test_marks_that_are_not_used_are_noted():
    plain = ["CHI_UNSPECIFIED"] * 4
    assert from_networkx(exported(plain, bond_type="SINGLE")).get("notes") is None
    data = from_networkx(exported([*plain[:3], "rdkit.Chem.ChiralType.CHI_TETRAHEDRAL_CW"], bond_type="SINGLE"))
    (note,) = data["notes"]
    assert data.smiles == "CC(O)F" and "CHI_TETRAHEDRAL_CW is not used" in note
    graph = to_networkx(data_from_smiles("CC(O)F"))  # with all hydrogens
    whole = nx.Graph()
    for node, values in graph.nodes(data=True):
        whole.add_node(node, z=values["z"], chiral_tag="CHI_TETRAHEDRAL_CCW" if node == 1 else "CHI_UNSPECIFIED")
    whole.add_edges_from(graph.edges, order=1)
    (note,) = from_networkx(whole)["notes"]
    assert "chiral_tag CHI_TETRAHEDRAL_CCW is not used" in note


def test_names_in_place_of_numbers_are_refused():
    with pytest.raises(ValueError, match="Expected numbers as 'bond' of a molecule, but got 'SINGLE'; .* bond_type"):
        from_networkx(exported([""] * 4, bond="SINGLE"))
