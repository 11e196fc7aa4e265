"""Writing files, and reading them back with others' readers."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphscore.data import from_networkx, read, to_networkx, write

pytest.importorskip("rdkit")

from rdkit import Chem

from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import data_from_mol
from graphscore.molecules.smiles import mol_from_smiles


def conformer(smiles: str, name: str = "", seed: int = 0) -> Data:
    return data_from_mol(embed(mol_from_smiles(smiles), 1, seed, optimize=False), name=name)


MOLECULES = ["C[C@H](N)C(=O)O", "C[N+](C)(C)CC(=O)[O-]", "c1cc[nH]c1", "F/C=C\\F", "C"]


def test_sdf_as_rdkit_reads_it(tmp_path: Path):
    items = [conformer(smiles, name) for smiles, name in zip(MOLECULES, ["a", "", "c", "", ""], strict=True)]
    write(items, tmp_path / "a.sdf")
    mols = list(Chem.SDMolSupplier(str(tmp_path / "a.sdf"), removeHs=False))
    assert [m.GetProp("_Name") for m in mols] == ["a", items[1].smiles, "c", items[3].smiles, "C"]
    for mol, item in zip(mols, items, strict=True):
        assert mol.GetProp("SMILES") == item.smiles
        assert [a.GetAtomicNum() for a in mol.GetAtoms()] == item.z.tolist()
        assert [a.GetFormalCharge() for a in mol.GetAtoms()] == item.charge.tolist()
        assert Chem.MolToSmiles(Chem.RemoveHs(mol)) == Chem.CanonSmiles(item.smiles)
        np.testing.assert_allclose(mol.GetConformer().GetPositions(), item.pos.numpy(), atol=5.1e-5)


@pytest.mark.parametrize("suffix", [".sdf", ".pt"])
def test_round_trip_keeps_graph_and_coordinates(tmp_path: Path, suffix: str):
    items = [conformer(smiles) for smiles in MOLECULES]
    write(items, tmp_path / f"a{suffix}")
    result = read(tmp_path / f"a{suffix}")
    assert not result.failures
    for item, back in zip(items, result.items, strict=True):
        for key in ("z", "charge", "edge_index", "bond"):
            assert torch.equal(item[key], back[key]), key
        assert back.smiles == item.smiles and back.num_nodes == item.num_nodes
        torch.testing.assert_close(back.pos, item.pos, atol=5.1e-5 if suffix == ".sdf" else 0, rtol=0)


def test_xyz_drops_no_atom(tmp_path: Path):
    methane = conformer("C", name="two\nlines")
    methane.pos = methane.pos - methane.pos[0]  # carbon exactly at the origin
    write([methane, conformer("CCO")], tmp_path / "a.xyz")
    lines = (tmp_path / "a.xyz").read_text().splitlines()
    assert lines[:2] == ["5", "two lines"] and lines[2].split() == ["C", *["0.00000000"] * 3]
    assert lines[7:9] == ["9", "CCO"] and len(lines) == 7 + 11
    first, second = read(tmp_path / "a.xyz").items
    assert (first.smiles, second.smiles) == ("C", "CCO")
    torch.testing.assert_close(first.pos, methane.pos, atol=5.1e-9, rtol=1e-6)


def test_pt_holds_any_graph_and_no_more_than_it(tmp_path: Path):
    big = torch.zeros(100_000, 2)
    graph = Data(pos=big[:3], edge_index=torch.tensor([[0], [1]]), kind=["a", "b", "c"], weight=2.5)
    write([graph], tmp_path / "a.pt")
    assert (tmp_path / "a.pt").stat().st_size < 10_000
    (back,) = read(tmp_path / "a.pt").items
    assert torch.equal(back.pos, graph.pos) and back.kind == graph.kind and back.weight == 2.5
    (raw,) = torch.load(tmp_path / "a.pt", weights_only=False)  # as users of PyG do
    assert type(raw) is Data and set(raw.keys()) == {"pos", "edge_index", "kind", "weight"}
    torch.save([graph.to_dict()], tmp_path / "old.pt")  # what earlier versions wrote
    assert torch.equal(read(tmp_path / "old.pt").items[0].pos, graph.pos)


def test_a_networkx_graph_survives_the_file(tmp_path: Path):
    graph = nx.Graph([((0, 1), "b")])
    write([from_networkx(graph)], tmp_path / "a.pt")
    assert list(to_networkx(read(tmp_path / "a.pt").items[0]).edges) == [((0, 1), "b")]


def test_failures_leave_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "a.sdf"
    write([conformer("C")], path)
    before = path.read_bytes()
    broken = conformer("C")
    broken.pos[0, 0] = torch.nan
    no_pos = conformer("C")
    del no_pos.pos
    for bad, words in [
        (Data(x=torch.ones(2, 1), pos=torch.ones(2, 3)), "graph 1: A molecule needs z"),
        (broken, "graph 1: pos has values that are not finite"),
        (no_pos, "graph 1: .*coordinates"),
    ]:
        with pytest.raises(ValueError, match=words):
            write([conformer("C"), bad], path)
        assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.sdf"]
    write([], path)
    assert path.read_bytes() == b""


def test_what_does_not_fit_is_skipped_where_asked_for(tmp_path: Path):
    broken, skipped = conformer("C"), {}
    broken.pos[0, 0] = torch.nan
    write([broken, conformer("CC"), Data(num_nodes=1)], tmp_path / "a.sdf", skip=skipped.__setitem__)
    assert [item.smiles for item in read(tmp_path / "a.sdf").items] == ["CC"]
    assert list(skipped) == [0, 2] and "not finite" in skipped[0]
    with pytest.raises(ValueError, match="Cannot write graph 0: pos has values that are not finite"):
        write([broken], tmp_path / "b.sdf", skip=skipped.__setitem__)


def test_xyz_and_pt_refuse_what_they_cannot_hold(tmp_path: Path):
    with pytest.raises(ValueError, match=r"graph 0: An XYZ frame needs z and pos, but \['z'\]"):
        write([Data(pos=torch.ones(2, 3))], tmp_path / "a.xyz")
    with pytest.raises(ValueError, match=r"shape \[1, 3\], but got shape \[1, 2\]"):
        write([Data(z=torch.tensor([6]), pos=torch.ones(1, 2))], tmp_path / "a.xyz")
    with pytest.raises(ValueError, match="'thing' is a object"):
        write([Data(thing=object())], tmp_path / "a.pt")
    assert not list(tmp_path.iterdir())


def test_paths(tmp_path: Path):
    write([conformer("C")], tmp_path / "new" / "folder" / "a.xyz")
    assert (tmp_path / "new" / "folder" / "a.xyz").is_file()
    with pytest.raises(ValueError, match=r"a.mol2: expected one of the extensions .csv .graphml"):
        write([], tmp_path / "a.mol2")
    (tmp_path / "b.sdf").mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        write([], tmp_path / "b.sdf")
