"""Reading files: what is in them, and what is said about those that are broken."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import networkx as nx
import pytest
import torch
from torch_geometric.data import Batch, Data, HeteroData, InMemoryDataset

from graphscore.data import read

pytest.importorskip("rdkit")


def save(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_graphml(tmp_path: Path):
    graph = nx.Graph()
    graph.add_node("a", z=6, charge=0, pos="0.0 0.5, 1.0")
    graph.add_node("b", z=8, charge=0, pos="(1, 2, 3)")
    graph.add_edge("a", "b", bond=3)
    nx.write_graphml(graph, tmp_path / "a.graphml")
    (data,) = read(tmp_path / "a.graphml").items
    assert data.z.tolist() == [6, 8] and data.bond.tolist() == [3, 3]
    assert data.pos.tolist() == [[0, 0.5, 1], [1, 2, 3]]


def test_graphml_defaults_are_applied(tmp_path: Path):
    path = save(
        tmp_path / "a.graphml",
        """<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
        <key id="k" for="node" attr.name="size" attr.type="int"><default>7</default></key>
        <key id="w" for="edge" attr.name="weight" attr.type="double"><default>0.5</default></key>
        <graph edgedefault="undirected"><node id="a"><data key="k">1</data></node><node id="b"/>
        <edge source="a" target="b"/></graph></graphml>""",
    )
    (data,) = read(path).items
    assert data["size"].tolist() == [1, 7] and data.weight.tolist() == [0.5, 0.5]


def test_graphml_with_one_number_per_axis(tmp_path: Path):
    graph = nx.DiGraph([("a", "b")])
    for x, label in enumerate(graph):
        graph.nodes[label].update(x=float(x), y=0.5, z=6)
    nx.write_graphml(graph, tmp_path / "a.graphml")
    (data,) = read(tmp_path / "a.graphml").items
    assert data.pos.tolist() == [[0, 0.5], [1, 0.5]] and data.z.tolist() == [6, 6]
    assert data.edge_index.tolist() == [[0], [1]]
    graph.nodes["b"]["y"] = "up"
    nx.write_graphml(graph, tmp_path / "b.graphml")
    (failure,) = read(tmp_path / "b.graphml").failures
    assert "node 'b'" in failure.reason
    with pytest.raises(ValueError, match="as GraphML"):
        read(save(tmp_path / "c.graphml", "<graphml"))


def test_pt_with_pyg_graphs_or_dicts(tmp_path: Path):
    data = Data(x=torch.ones(2, 3), edge_index=torch.tensor([[0], [1]]))
    for content in (data, [data], [data.to_dict()], {"x": data.x, "edge_index": data.edge_index}):
        torch.save(content, tmp_path / "a.pt")
        (back,) = read(tmp_path / "a.pt").items
        assert torch.equal(back.x, data.x) and torch.equal(back.edge_index, data.edge_index)
    torch.save([{"pos": torch.ones(3, 2)}], tmp_path / "cloud.pt")
    assert read(tmp_path / "cloud.pt").items[0].edge_index.shape == (2, 0)


def test_pt_reports_what_is_no_graph(tmp_path: Path):
    bad_edge = {"x": torch.ones(2, 1), "edge_index": torch.tensor([[0], [5]])}
    torch.save([torch.ones(3), {}, bad_edge, {"x": torch.ones(2, 1)}], tmp_path / "a.pt")
    result = read(tmp_path / "a.pt")
    assert [f.location for f in result.failures] == ["graph 1", "graph 2", "graph 3"]
    assert "Tensor" in result.failures[0].reason and "number of nodes" in result.failures[1].reason
    assert len(result.items) == 1


class Harmful:
    def __reduce__(self) -> tuple:
        return os.system, ("touch harmful",)


def test_pt_runs_no_code_and_leaves_no_permission_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    torch.save([Harmful()], "a.pt")
    before = torch.serialization.get_safe_globals()
    with pytest.raises(ValueError, match="plain dicts, or PyG Data"):
        read("a.pt")
    assert not Path("harmful").exists()
    torch.save(HeteroData(), "b.pt")
    with pytest.raises(ValueError, match="plain dicts, or PyG Data"):
        read("b.pt")
    assert set(torch.serialization.get_safe_globals()) == set(before)


@pytest.mark.parametrize("suffix", [".smi", ".csv", ".sdf", ".mol", ".xyz", ".graphml", ".pt"])
def test_files_that_are_no_such_thing(tmp_path: Path, suffix: str):
    empty, junk = tmp_path / f"empty{suffix}", tmp_path / f"junk{suffix}"
    empty.touch()
    with pytest.raises(ValueError, match="empty") as info:
        read(empty)
    assert str(empty) in str(info.value)
    junk.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR junk")
    with pytest.raises(ValueError, match="junk") as info:
        read(junk)
    assert "\n" not in str(info.value)
    junk.write_bytes(b"\xff\xfe\x00\x80junk")  # text in UTF-16, though of three odd letters
    with contextlib.suppress(ValueError):
        result = read(junk)
        assert not result.items and len(result.failures) == 1
    blank = save(tmp_path / f"blank{suffix}", "\n\n")
    with pytest.raises(ValueError, match="blank"):
        read(blank)


def test_paths_that_are_no_files(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no file .*nowhere.smi"):
        read(tmp_path / "nowhere.smi")
    with pytest.raises(ValueError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(ValueError, match=r"a.pdf: expected one of .*\.csv"):
        read(save(tmp_path / "a.pdf", "x"))


def graph_dict(**changes) -> dict:
    edges = torch.tensor([[0, 1], [1, 0]])
    molecule = {"z": torch.tensor([6, 8, 1]), "charge": torch.zeros(3).long(), "bond": torch.tensor([1, 1])}
    return {"pos": torch.randn(3, 3), "edge_index": edges, **molecule, **changes}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int32, torch.int16])
def test_pt_whole_numbers_of_nodes_become_integers(tmp_path: Path, dtype):
    empty = {"x": torch.ones(1, 3), "edge_index": torch.tensor([[], []], dtype=dtype)}
    torch.save([graph_dict(edge_index=torch.tensor([[0, 1], [1, 0]], dtype=dtype)), empty], tmp_path / "a.pt")
    one, other = read(tmp_path / "a.pt").items
    assert one.edge_index.tolist() == [[0, 1], [1, 0]] and other.edge_index.shape == (2, 0)
    assert {one.edge_index.dtype, other.edge_index.dtype} == {torch.long}


WRONG_GRAPHS = {
    "numbers of nodes that are not whole": ({"edge_index": torch.tensor([[0.5, 1], [1, 0]])}, "whole numbers of nodes"),
    "no numbers": ({"edge_index": torch.tensor([[torch.nan, 1], [1, 0]])}, "whole numbers of nodes"),
    "flags": ({"edge_index": torch.ones(2, 2, dtype=torch.bool)}, "whole numbers of nodes, but it is torch.bool"),
    "negative": ({"edge_index": torch.tensor([[0, -1], [1, 0]])}, "numbers of nodes from 0 to 2, but it has -1"),
    "too large": ({"edge_index": torch.tensor([[0, 1], [3, 0]])}, "numbers of nodes from 0 to 2, but it has 3"),
    "in rows": ({"edge_index": torch.zeros(5, 2).long()}, "the shape [2, E], but it is [5, 2]: transpose it"),
    "a list": ({"edge_index": [[0, 1], [1, 0]]}, "edge_index to be a tensor, but it is list"),
    "sparse": ({"edge_index": torch.eye(2).to_sparse()}, "a plain tensor with rows, but it is torch.sparse"),
    "a number": ({"pos": torch.tensor(1.0)}, "pos to be a plain tensor with rows, but it is a single number"),
    "text": ({"pos": "0 0 0"}, "pos to be a tensor, but it is str"),
    "too many atoms": ({"z": torch.ones(7).long()}, "z to have 3 rows, one for each node, but its shape is [7]"),
    "too few charges": ({"charge": torch.ones(2).long()}, "charge to have 3 rows, one for each node"),
    "too few bonds": ({"bond": torch.ones(1).long()}, "bond to have 2 rows, one for each edge, but its shape is [1]"),
    "one edge attribute": ({"edge_attr": torch.ones(1, 4)}, "edge_attr to have 2 rows, one for each edge"),
    "a wrong number of nodes": ({"num_nodes": 4}, "pos to have 4 rows, one for each node, but its shape is [3, 3]"),
    "no number of nodes": ({"num_nodes": "3"}, "num_nodes to be a whole number of at least 0, but it is '3'"),
    "pairs of no atoms": ({"cis_trans_index": torch.tensor([[0], [9]])}, "numbers of nodes from 0 to 2, but it has 9"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_GRAPHS)
def test_pt_graphs_that_do_not_fit_together_are_named_with_their_number(tmp_path: Path, case):
    change, words = WRONG_GRAPHS[case]
    torch.save([graph_dict(), graph_dict(**change), graph_dict()], tmp_path / "a.pt")
    result = read(tmp_path / "a.pt")
    (failure,) = result.failures
    assert failure.location == "graph 2" and words in failure.reason and len(result.items) == 2


def _tadpoles() -> list[Data]:
    ends = torch.tensor([[0, 1, 1], [1, 0, 1]])
    return [Data(x=torch.randn(n, 2), edge_index=ends, y=torch.tensor([n]), name=f"g{n}") for n in (2, 3, 5)]


@pytest.mark.parametrize("kind", ["Batch", "InMemoryDataset.save", "collated"])
def test_graphs_that_pyg_has_collated_come_apart_again(tmp_path: Path, kind: str):
    wanted, path = _tadpoles(), tmp_path / "a.pt"
    if kind == "Batch":
        torch.save(Batch.from_data_list(wanted), path)
    elif kind == "collated":
        torch.save(InMemoryDataset.collate(wanted), path)
    else:
        InMemoryDataset.save(wanted, str(path))
    result = read(path)
    assert not result.failures and len(result.items) == 3
    for item, graph in zip(result.items, wanted, strict=True):
        assert type(item) is Data and item.num_nodes == graph.num_nodes and item.name == graph.name
        assert all(torch.equal(item[key], graph[key]) for key in ("x", "edge_index", "y"))


def test_slices_that_do_not_fit_are_said(tmp_path: Path):
    data, slices = InMemoryDataset.collate(_tadpoles())
    torch.save((data, slices | {"x": slices["x"][:2]}), tmp_path / "numbers.pt")
    torch.save((data, {key: value for key, value in slices.items() if key != "x"}), tmp_path / "missing.pt")
    torch.save((data, slices | {"x": slices["x"] + 7}), tmp_path / "beyond.pt")
    torch.save((torch.zeros(3), slices), tmp_path / "tensor.pt")
    torch.save((data, slices | {"x": 3}), tmp_path / "number.pt")
    torch.save(({3: torch.zeros(3)}, slices), tmp_path / "key.pt")
    with pytest.raises(ValueError, match=r"of different numbers of graphs: \[1, 3\]"):
        read(tmp_path / "numbers.pt")
    with pytest.raises(ValueError, match=r"has no slices of \['x'\]"):
        read(tmp_path / "missing.pt")
    for name in ("tensor.pt", "number.pt", "key.pt"):
        with pytest.raises(ValueError, match="Expected a collated graph and the slices"):
            read(tmp_path / name)
    assert read(tmp_path / "beyond.pt").failures
