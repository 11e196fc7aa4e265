"""Files as they come from other programs, from the input file to the records of the output file."""

from __future__ import annotations

import gzip
from pathlib import Path

import networkx as nx
import pytest
import torch

pytest.importorskip("rdkit")

from rdkit import Chem
from rdkit.Chem import rdDistGeom
from torch_geometric.data import Data

from graphscore import data
from graphscore.molecules.graph import mol_from_data


def embedded(smiles: str) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=7) == 0
    return mol


def block(smiles: str, title: str, **fields: str) -> str:
    lines = [title, *Chem.MolToMolBlock(embedded(smiles)).splitlines()[1:]]
    for name, value in fields.items():
        lines += [f">  <{name}>", value, ""]
    return "\n".join([*lines, "$$$$", ""])


def frame(smiles: str, comment: str, extra: str = "") -> str:
    mol = embedded(smiles)
    rows = [
        f"{atom.GetSymbol()} {x:.6f} {y:.6f} {z:.6f}{extra}"
        for atom, (x, y, z) in zip(mol.GetAtoms(), mol.GetConformer().GetPositions(), strict=True)
    ]
    return "\n".join([str(len(rows)), comment, *rows, ""])


def smiles_of(record) -> str:
    return Chem.MolToSmiles(Chem.RemoveHs(record.mol))


LISTS = {
    "in.smi.gz": (gzip.compress(b"CCO ethanol\nCC=O ethanal\n"), ["ethanol", "ethanal"]),
    "in.csv": ("compound_id,canonical_smiles,activity\nethanol,CCO,5.1\nethanal,CC=O,4.2\n", ["ethanol", "ethanal"]),
    "in.tsv": ("smiles\tname\nCCO\tethanol\nCC=O\tethanal\n", ["ethanol", "ethanal"]),
    "in.txt": ("ID\tSMILES\n17\tCCO\n18\tCC=O\n", ["17", "18"]),
    "in.smi": ("1234\tCCO\n1235\tCC=O\n", ["1234", "1235"]),
    "in.smiles": ("CCO alpha\x0cbeta\nCC=O gamma\u2028delta\n", ["alpha beta", "gamma delta"]),
    "in.ism": ("CCO;ethanol\nCC=O;ethanal\n", ["ethanol", "ethanal"]),
    "in.can": ("CCO ethanol\r\nCC=O ethanal\r\n".encode("utf-16"), ["ethanol", "ethanal"]),
    "latin.smi": (b"CCO caf\xe9\nCC=O plain\n", ["caf\xe9", "plain"]),
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_lists_keep_names_and_order(sample, name: str):
    content, titles = LISTS[name]
    job = sample(name, content, num=1)
    assert job.code == 0, job.printed
    assert [smiles_of(record) for record in job.records] == ["CCO", "CC=O"]
    assert [" ".join(record.title.split()) for record in job.records] == titles


def test_columns_of_a_table_are_fields_of_its_records(sample, unclosed):
    job = sample("in.csv", "compound_id,canonical_smiles,activity\nC1,CCO,5.1\nC2,C1CC,0\nC3,CC=O,4.2\n", num=2)
    assert [record.title for record in job.records] == ["C1", "C1", "C3", "C3"]
    assert [record.fields["activity"] for record in job.records] == ["5.1", "5.1", "4.2", "4.2"]
    assert unclosed in job.report["inputs"][1]["failure"]


def test_fields_of_an_sdf_are_kept(sample):
    text = block("CCO", "mol-1", IC50="1.0", Comment="line one\nline two") + block("C[C@H](N)C(=O)O", "L-Ala", IC50="")
    job = sample("in.sdf", text, num=2)
    assert [record.title for record in job.records] == ["mol-1", "mol-1", "L-Ala", "L-Ala"]
    for record in job.of("mol-1"):
        assert (record.fields["IC50"], record.fields["Comment"]) == ("1.0", "line one\nline two")
    assert Path("in.sdf").read_text() == text


def test_an_input_is_not_overwritten(sample):
    text = block("CCO", "mine", IC50="1.0")
    job = sample("x.sdf", text, num=1)
    assert job.code != 0 and "x.sdf" in job.printed
    assert Path("x.sdf").read_text() == text


def test_a_name_in_latin1_costs_nothing(sample):
    job = sample("in.sdf", (block("CCO", "caf\xe9") + block("CN", "plain")).encode("latin-1"), num=1)
    assert [record.title for record in job.records] == ["caf\xe9", "plain"]


def test_fields_whose_names_are_ours_do_not_get_lost_or_mixed_up(sample):
    job = sample("in.sdf", block("CCO", "mine", warning="toxic", method="assay 7", sample="blood", seed="A1"), num=2)
    for record in job.records:
        kept = " ".join(f"{name}={value}" for name, value in record.fields.items())
        assert all(value in kept for value in ("toxic", "assay 7", "blood", "A1")), kept
        assert record.fields.get("warning", "") in ("", "toxic")


FRAMES = {
    "charge": (frame("C[NH3+]", "charge=1 methylammonium"), "C[NH3+]"),
    "a bare charge": (frame("CC(=O)[O-]", "-1"), "CC(=O)[O-]"),
    "columns of ASE": (
        frame("CCO", "Properties=species:S:1:pos:R:3:forces:R:3 energy=-1.5 pbc=\"F F F\"", " 0.1 0.2 0.3"), "CCO",
    ),
    "radical": (frame("CC[CH2]", "propyl radical"), "[CH2]CC"),
    "a line after it": (frame("CCO", "ethanol") + "# end of file\n", "CCO"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_of_xyz_are_read(sample, kind: str):
    text, smiles = FRAMES[kind]
    job = sample("in.xyz", text, num=1)
    assert [smiles_of(record) for record in job.records] == [smiles], job.printed
    assert "Properties" not in job.records[0].title
    assert ("line" in job.printed) == (kind == "a line after it")


@pytest.mark.parametrize("symbol", ["O", "C", "N", "H", "He", "Cl"])
def test_an_atom_alone_stays_one_or_is_refused(sample, symbol: str):
    job = sample("in.xyz", f"1\nan atom\n{symbol} 0 0 0\n", num=1)
    assert [record.mol.GetNumAtoms() for record in job.records] == ([] if job.code else [1]), job.printed


def ethanol(hydrogens: bool) -> nx.Graph:
    """As pysmiles builds it, with hydrogens as nodes or as numbers."""
    graph = nx.Graph()
    for number, (symbol, count) in enumerate((("C", 3), ("C", 2), ("O", 1))):
        graph.add_node(number, element=symbol, charge=0, aromatic=False, hcount=0 if hydrogens else count)
        if number:
            graph.add_edge(number - 1, number, order=1)
        for _ in range(count if hydrogens else 0):
            graph.add_edge(number, 3 + len(graph), order=1)
            graph.add_node(2 + len(graph), element="H", charge=0, aromatic=False, hcount=0)
    return graph


@pytest.mark.parametrize("hydrogens", [True, False], ids=["hydrogens as nodes", "hydrogens as numbers"])
def test_a_graph_of_ethanol_is_ethanol(sample, hydrogens: bool):
    job = sample("in.graphml", "\n".join(nx.generate_graphml(ethanol(hydrogens))), num=1)
    assert [smiles_of(record) for record in job.records] == ["CCO"], job.printed
    assert [atom.GetNumRadicalElectrons() for atom in job.records[0].mol.GetAtoms()] == [0] * 9


def test_each_graph_of_a_file_is_read(tmp_path: Path):
    one = '<graph edgedefault="undirected"><node id="a"/><node id="b"/><edge source="a" target="b"/></graph>'
    two = '<graph edgedefault="undirected"><node id="c"/></graph>'
    path = tmp_path / "two.graphml"
    path.write_text(f'<graphml xmlns="http://graphml.graphdrawing.org/xmlns">{one}{two}</graphml>')
    result = data.read(path)
    assert [graph.num_nodes for graph in result.items] + [0] * len(result.failures) == [2, 1]


WRONG = {
    "real edge_index": {"edge_index": torch.zeros(2, 0)},
    "no edge_index": {"edge_index": None},
    "complex pos": {"pos": torch.zeros(2, 3, dtype=torch.complex64)},
}


@pytest.mark.parametrize("kind", WRONG)
def test_tensors_of_wrong_types_are_converted_or_refused(tmp_path: Path, kind: str):
    graph = {"z": torch.tensor([6, 8]), "edge_index": torch.zeros(2, 0, dtype=torch.int64), "num_nodes": 2}
    torch.save(Data(**(graph | WRONG[kind])), tmp_path / "x.pt")
    result = data.read(tmp_path / "x.pt")
    for item in result.items:
        assert item.edge_index is not None and item.edge_index.dtype == torch.int64
        assert "pos" not in item or item.pos is None or item.pos.is_floating_point()
    assert result.items or all(name in result.failures[0].reason for name in WRONG[kind])


def test_isotopes_and_maps_of_a_file_are_kept(sample):
    job = sample("in.smi", "[13CH3:7]O labelled\nCO light\n", num=1)
    labelled, light = job.records
    assert [(atom.GetIsotope(), atom.GetAtomMapNum()) for atom in labelled.mol.GetAtoms()][:2] == [(13, 7), (0, 0)]
    assert not any(atom.GetIsotope() or atom.GetAtomMapNum() for atom in light.mol.GetAtoms())


@pytest.mark.parametrize("number", [7, 40])
def test_no_record_is_lost(tmp_path: Path, number: int):
    """Good records and failures together are as many as there are records."""
    words = ["CCO", "C1CC", "CC=O", "", "C(C)(C)(C)(C)C", "[Na+].[Cl-]", "c1ccccc1"]
    lines = [f"{words[k % len(words)]} name-{k}" if words[k % len(words)] else "" for k in range(number)]
    (tmp_path / "x.smi").write_text("\n".join(lines) + "\n")
    result = data.read(tmp_path / "x.smi")
    names = [line.split()[-1] for line in lines if line and line.split()[0] not in ("C1CC", "C(C)(C)(C)(C)C")]
    assert [graph.name for graph in result.items] == names
    assert len(result.items) + len(result.failures) == sum(map(bool, lines))
    assert all(mol_from_data(graph).GetNumAtoms() for graph in result.items)
