"""networkx in and out."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from graphscore.data import CompleteGraph, from_networkx, to_networkx


def assert_same(a: Any, b: Any) -> None:
    if isinstance(a, dict):
        assert list(a) == list(b) or set(a) == set(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (np.ndarray, list, tuple)):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    else:
        assert a == b and type(a) is type(b)


def assert_same_graph(a: nx.Graph, b: nx.Graph) -> None:
    assert type(a) is type(b)
    assert list(a.nodes) == list(b.nodes)
    assert_same(dict(a.nodes(data=True)), dict(b.nodes(data=True)))
    assert {frozenset(e) if not a.is_directed() else e for e in a.edges} == {
        frozenset(e) if not b.is_directed() else e for e in b.edges
    }
    for u, v, values in a.edges(data=True):
        assert_same(values, b.edges[u, v])
    assert_same(a.graph, b.graph)


def labeled() -> nx.Graph:
    graph = nx.Graph(title="two", weight=0.1, box=np.array([1.0, 2.0]))
    graph.add_node("b", pos=np.array([0.1, 0.2, 0.3]), kind="C", size=3)
    graph.add_node((1, 2), pos=np.array([1.0, 0.0, 0.0]), kind="N", size=4)
    graph.add_node("a", pos=np.array([0.0, 0.0, 7.0]), kind="C", size=-1)
    graph.add_edge("a", "b", length=1.5, order="x")
    graph.add_edge((1, 2), "b", length=2.5, order="y")
    return graph


def test_tensors_are_exactly_these():
    data = from_networkx(labeled())
    assert data.num_nodes == 3
    assert data.edge_index.tolist() == [[0, 0, 1, 2], [1, 2, 0, 0]]
    assert data.length.tolist() == [2.5, 1.5, 2.5, 1.5]
    assert data.order == ["y", "x", "y", "x"]
    assert data.kind == ["C", "N", "C"]
    assert data["size"].tolist() == [3, 4, -1] and data["size"].dtype == torch.long
    assert data.pos.dtype == torch.float32 and data.pos[2].tolist() == [0, 0, 7]
    assert data.title == "two"


@pytest.mark.parametrize("kind", [nx.Graph, nx.DiGraph])
def test_round_trip_is_exact(kind: type):
    graph = kind(labeled())
    if graph.is_directed():
        graph.remove_edge("a", "b")
    assert_same_graph(graph, to_networkx(from_networkx(graph, dtype=torch.float64)))


def test_a_directed_graph_stays_directed_even_where_symmetric():
    graph = nx.DiGraph([(0, 1), (1, 0)])
    assert_same_graph(graph, to_networkx(from_networkx(graph)))


@given(st.integers(0, 8), st.floats(0, 1), st.booleans(), st.integers(0, 1000))
def test_round_trip_of_random_graphs(n: int, density: float, directed: bool, seed: int):
    graph = nx.gnp_random_graph(n, density, seed=seed, directed=directed)
    for i in graph:
        graph.nodes[i].update(pos=np.array([i / 3, 1.0]), flag=bool(i % 2), mass=float(i))
    for u, v in graph.edges:
        graph.edges[u, v]["length"] = 0.1 * u
    data = from_networkx(graph, dtype=torch.float64)
    assert data.num_edges == graph.number_of_edges() * (1 if directed else 2)
    assert_same_graph(graph, to_networkx(data))


def test_levels_are_kept_where_sizes_cannot_tell():
    ring = nx.DiGraph([(0, 1), (1, 2), (2, 0)])
    nx.set_node_attributes(ring, {0: 1, 1: 2, 2: 3}, "a")
    nx.set_edge_attributes(ring, {(0, 1): 4, (1, 2): 5, (2, 0): 6}, "b")
    assert_same_graph(ring, to_networkx(from_networkx(ring)))


def test_self_loops_are_stored_once():
    graph = nx.Graph([(0, 0), (0, 1)])
    data = from_networkx(graph)
    assert data.edge_index.tolist() == [[0, 0, 1], [0, 1, 0]]
    assert_same_graph(graph, to_networkx(data))


def test_graphs_of_other_origin():
    data = Data(x=torch.ones(3, 2), edge_index=torch.tensor([[0, 1], [1, 0]]), weight=torch.tensor([2.0, 2.0]))
    graph = to_networkx(data)
    assert type(graph) is nx.Graph and list(graph.edges(data=True)) == [(0, 1, {"weight": 2.0})]
    assert graph.nodes[2]["x"].tolist() == [1, 1]
    data.weight = torch.tensor([2.0, 3.0])
    assert type(to_networkx(data)) is nx.DiGraph


def test_a_molecule_goes_to_networkx_and_back():
    pytest.importorskip("rdkit")
    from graphscore.molecules.graph import canonical_smiles, data_from_smiles, mol_from_data

    data = data_from_smiles("CC(=O)[O-]")
    graph = to_networkx(CompleteGraph("bond")(data))
    assert graph.number_of_edges() == 21 and graph.edges[0, 3]["hops"] == 2
    back = from_networkx(to_networkx(data))
    assert torch.equal(back.bond, data.bond) and back.smiles == data.smiles
    assert canonical_smiles(mol_from_data(back)) == "CC(=O)[O-]"


def test_symbols_and_orders_make_a_molecule():
    pytest.importorskip("rdkit")
    from graphscore.molecules.graph import canonical_smiles, mol_from_data

    graph = nx.Graph()
    for i, symbol in enumerate("COHH"):
        graph.add_node(f"n{i}", element=symbol)
    graph.add_edges_from([("n0", "n1", {"order": 2}), ("n0", "n2", {"order": 1}), ("n0", "n3", {"order": 1})])
    data = from_networkx(graph)
    assert data.z.tolist() == [6, 8, 1, 1] and data.charge.tolist() == [0, 0, 0, 0]
    assert canonical_smiles(mol_from_data(data)) == "C=O"
    assert_same_graph(graph, to_networkx(data))
    graph.edges["n0", "n1"]["order"] = 2.5
    with pytest.raises(ValueError, match="order of edge 'n0'-'n1' must be 1, 1.5, 2 or 3, but is 2.5"):
        from_networkx(graph)
    graph.nodes["n1"]["element"] = "Xy"
    graph.edges["n0", "n1"]["order"] = 2
    with pytest.raises(ValueError, match="'Xy'"):
        from_networkx(graph)


def test_what_cannot_be_kept_is_refused():
    with pytest.raises(ValueError, match="MultiGraph"):
        from_networkx(nx.MultiGraph([(0, 1), (0, 1)]))
    graph = labeled()
    del graph.nodes["a"]["size"]
    with pytest.raises(ValueError, match="'size', which node 'b' has, is missing on node 'a'"):
        from_networkx(graph)
    graph = labeled()
    del graph.edges["a", "b"]["length"]
    with pytest.raises(ValueError, match="'length'.* is missing on edge 'b'-'a'"):
        from_networkx(graph)
    for value in (None, {"a": 1}, [1, "x"], [[1], [1, 2]]):
        graph = labeled()
        graph.nodes["a"]["size"] = value
        with pytest.raises(ValueError, match="'size' of node 'a'"):
            from_networkx(graph)
    graph = labeled()
    graph.nodes["a"]["pos"] = [1.0]
    with pytest.raises(ValueError, match=r"'pos' has shape \[1\] on node 'a', but \[3\] on node 'b'"):
        from_networkx(graph)
    with pytest.raises(ValueError, match="'edge_index' has a name"):
        from_networkx(nx.Graph(edge_index=1))
    with pytest.raises(ValueError, match="'kind' is a node attribute too"):
        from_networkx(nx.Graph(labeled(), kind=1))
