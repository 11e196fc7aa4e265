"""Graphs with attributes of all kinds, written to files of any graphs and read back."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import networkx as nx
import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphscore.data import from_networkx, read, to_networkx, write
from graphscore.data.formats.plain import from_text, to_text

FORMATS = [".pt", ".npz", ".graphml", ".graphml.gz", ".graphml.zip"]


def torus(n: int, seed: int) -> Data:
    """A ring, with as many edges as nodes or twice as many, as PyG users build it."""
    torch.manual_seed(seed)
    nodes = torch.arange(n)
    edges = torch.stack([torch.cat([nodes, nodes.roll(-1)]), torch.cat([nodes.roll(-1), nodes])])
    edges = edges[:, (edges[0] * n + edges[1]).argsort()]
    lengths = torch.rand(n)
    return Data(
        edge_index=edges, num_nodes=n, pos=torch.randn(n, 3), x=torch.rand(n, 2), mass=torch.rand(n) * 1e-7,
        colour=torch.randint(5, (n,)), fixed_ring=torch.rand(n) > 0.5, tag=[f"node {k}, <&é>" for k in range(n)],
        length=lengths[torch.where((edges[0] + 1) % n == edges[1], edges[0], edges[1])], genus=1,
        name=f"torus {n}/{seed}", closed=True, box=torch.rand(1, 3), cell=torch.rand(2, 3, 3), note=("a", 1, None),
        radius=0.10000000149011612, properties={"source": "scan", "levels": [1, 2.5, "c"]}, sample=seed + 1,
    )  # fmt: skip


def check_equal(one: Data, other: Data) -> None:
    assert set(one.keys()) == set(other.keys())
    for key, value in one.to_dict().items():
        found = other[key]
        if isinstance(value, Tensor):
            assert found.dtype == value.dtype and torch.equal(found, value), key
        else:
            assert type(found) is type(value) and found == value, key


@pytest.mark.parametrize("suffix", FORMATS)
def test_all_attributes_survive(tmp_path: Path, suffix: str):
    graphs = [torus(n, seed) for seed, n in enumerate((3, 5, 8))]
    graphs[1].only_here = "one"
    del graphs[2].genus
    write(graphs, tmp_path / f"a{suffix}")
    result = read(tmp_path / f"a{suffix}")
    assert not result.failures and len(result.items) == 3
    for graph, back in zip(graphs, result.items, strict=True):
        if "graphml" in suffix:
            del back["networkx"]
        check_equal(graph, back)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("directed", [False, True])
def test_a_networkx_graph_comes_back(tmp_path: Path, suffix: str, directed: bool):
    graph = nx.DiGraph(kind="tree", depth=3) if directed else nx.Graph(kind="tree", depth=3)
    graph.add_nodes_from([("a", {"pos": [0.1, 0.2], "label": "root"}), ("b", {"pos": [1.0, 2.0], "label": "leaf"})])
    graph.add_node("c", pos=[0.5, -1.0], label="leaf")
    graph.add_edges_from([("a", "b", {"w": 0.3, "t": "x"}), ("c", "a", {"w": 1.5, "t": "y"})])
    write([from_networkx(graph)], tmp_path / f"a{suffix}")
    back = to_networkx(read(tmp_path / f"a{suffix}").items[0])
    assert type(back) is type(graph) and list(back.nodes) == ["a", "b", "c"] and back.graph == graph.graph
    assert {frozenset(e) if not directed else e for e in back.edges} == {
        frozenset(e) if not directed else e for e in graph.edges
    }
    for node, values in graph.nodes(data=True):
        np.testing.assert_array_equal(back.nodes[node]["pos"], np.float32(values["pos"]))
        assert back.nodes[node]["label"] == values["label"]
    for u, v, values in graph.edges(data=True):
        assert back.edges[u, v]["t"] == values["t"] and back.edges[u, v]["w"] == np.float32(values["w"])


def test_networkx_reads_what_is_written(tmp_path: Path):
    """All files of an archive, and the first graph of a file."""
    graphs = [torus(4, 0), torus(6, 1)]
    write(graphs, tmp_path / "a.graphml")
    write(graphs, tmp_path / "a.graphml.zip")
    with ZipFile(tmp_path / "a.graphml.zip") as archive:
        assert archive.namelist() == ["000001-torus_4_0-1.graphml", "000002-torus_6_1-2.graphml"]
        read_ = [nx.parse_graphml(archive.read(name).decode()) for name in archive.namelist()]
    assert [len(graph) for graph in read_] == [4, 6] and len(nx.read_graphml(tmp_path / "a.graphml")) == 4
    for graph, found in zip(graphs, read_, strict=True):
        assert not found.is_directed() and found.number_of_edges() == graph.num_nodes
        assert found.graph["name"] == graph.name and found.graph["radius"] == graph.radius
        for node, values in found.nodes(data=True):
            assert np.float32(values["mass"]) == graph.mass[int(node)] and values["tag"] == graph.tag[int(node)]
            np.testing.assert_array_equal(np.float32(json.loads(values["pos"])), graph.pos[int(node)])
    positions = [json.loads(found.nodes["1"]["pos"])[0] for found in read_]
    assert all(len(repr(number)) <= 13 for number in positions)  # 0.1, not 0.10000000149011612


def test_numpy_and_pyg_read_what_is_written(tmp_path: Path):
    graphs = [torus(n, 0) for n in (4, 6)]
    write(graphs, tmp_path / "a.npz")
    write(graphs, tmp_path / "a.pt")
    batch = Batch.from_data_list([Data(edge_index=g.edge_index, pos=g.pos, num_nodes=g.num_nodes) for g in graphs])
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        for name in ("pos", "edge_index", "ptr"):
            np.testing.assert_array_equal(arrays[name], batch[name].numpy())
        assert arrays["name"].tolist() == ["torus 4/0", "torus 6/0"] and arrays["tag"].shape == (10,)
    loaded = torch.load(tmp_path / "a.pt", weights_only=False)
    assert [type(graph) for graph in loaded] == [Data, Data]
    assert torch.equal(Batch.from_data_list(loaded).pos, batch.pos)


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_same_graphs_make_the_same_bytes(tmp_path: Path, suffix: str):
    for folder in ("a", "other folder"):
        write([torus(4, 0)], tmp_path / folder / f"{folder}{suffix}")
    files = [tmp_path / folder / f"{folder}{suffix}" for folder in ("a", "other folder")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_a_file_cannot_hold_is_said_with_the_graph(tmp_path: Path, suffix: str):
    with pytest.raises(ValueError, match="Cannot write graph 1: .*object"):
        write([torus(3, 0), Data(num_nodes=1, thing=object())], tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "levels, words",
    [
        (np.array([["pos", "atom", "rows"]]), "tells of ['pos']"),
        (np.array([["mass", "node", "rows"]]), "tells of ['mass']"),
        (np.array(["pos"]), "rows of a name, a level and a form"),
        (np.array([["pos", "edge", "rows"]]), "one row for each of the 0 edges"),
        (np.array([["pos", "graph", "json"]]), "one row for each of the 1 graphs"),
    ],
)
def test_levels_that_do_not_fit_are_said(tmp_path: Path, levels, words):
    np.savez(tmp_path / "a.npz", ptr=np.array([0, 3]), pos=np.zeros((3, 2)), __levels__=levels)
    with pytest.raises(ValueError) as error:
        read(tmp_path / "a.npz")
    assert words in str(error.value)


def test_values_as_text():
    value = {
        "a": (1, [2.5, None, "é"]),
        "t": torch.zeros(0, 3),
        "h": torch.tensor([[1.5, -2]]),
        "b": torch.tensor(True),
    }
    back = from_text(to_text(value))
    assert back["a"] == value["a"]
    assert all(torch.equal(back[k], value[k]) and back[k].dtype == value[k].dtype for k in "thb")
    for text in (
        '{"tensor": "load", "shape": [1], "values": [1]}',
        '{"x": 1}',
        "[",
        '{"tensor": "int64", "shape": [2], "values": [1]}',
    ):
        with pytest.raises(ValueError):
            from_text(text)
    with pytest.raises(ValueError, match="got object"):
        to_text([object()])


def test_an_archive_without_graphs_is_said(tmp_path: Path):
    with ZipFile(tmp_path / "a.graphml.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    (tmp_path / "b.graphml.zip").write_bytes(b"PK no archive")
    for name, words in (("a", "Expected files .*graphml in .*, but it has none"), ("b", "as a zip archive")):
        with pytest.raises(ValueError, match=words):
            read(tmp_path / f"{name}.graphml.zip")
