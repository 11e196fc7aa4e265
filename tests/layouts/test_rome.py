"""The embedded graph collections, their drawings, and the recipe that made them."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from torch_geometric.data import Data

from graphscore.data import load_dataset
from graphscore.layouts.metrics import measure_drawings
from graphscore.layouts.recipes import build, write_collections
from graphscore.layouts.rome import read_collection
from graphscore.layouts.transforms import LayoutGraph


@pytest.fixture(scope="module")
def rome():
    return [*read_collection("rome")]


def test_the_collections_are_complete_and_split_as_published(rome):
    parts = [record.part for record in rome]
    assert {part: parts.count(part) for part in set(parts)} == {"train": 10_000, "val": 531, "test": 1_000, "other": 3}
    assert sum(record.graph.num_edges for record in rome) == 2 * 796_512
    north = [*read_collection("north")]
    assert len(north) == 1_277 and {record.part for record in north} == {"test"}
    assert not any(len(record.drawings) for record in north)
    for record in (*rome[::500], *north[::100]):
        graph = nx.Graph(record.graph.edge_index.t().tolist())
        assert len(graph) == record.graph.num_nodes and 2 * graph.number_of_edges() == record.graph.num_edges
        assert nx.is_connected(graph) == (record.part != "other")


def test_drawings_have_less_stress_and_fewer_crossings_than_kamada_kawai(rome):
    pytest.importorskip("scipy")
    few = [record for record in rome if record.part == "test"][:200:20]
    theirs = []
    for record in few:
        pos = nx.kamada_kawai_layout(nx.Graph(record.graph.edge_index.t().tolist()))
        places = torch.tensor([[*pos[node]] for node in range(len(pos))])
        theirs.append(Data(edge_index=record.graph.edge_index, pos=places))
    ours = [Data(edge_index=record.graph.edge_index, pos=record.drawings[0]) for record in few]
    mine, other = (measure_drawings(drawings) for drawings in (ours, theirs))
    assert mine["stress"].mean() < other["stress"].mean()
    assert mine["crossings"].mean() < 0.85 * other["crossings"].mean()


def test_the_data_set_has_drawings_in_lengths_of_an_edge():
    dataset = load_dataset("rome", max_nodes=12)
    train = dataset.split("train")
    assert len(train) > 0 and max(item.num_nodes for item in train) == 12
    assert len(dataset.groups("train")[0]) == 2
    lengths = torch.cat([(item.pos[item.edge_index[0]] - item.pos[item.edge_index[1]]).norm(dim=1) for item in train])
    assert lengths.mean() == pytest.approx(1.1, abs=0.1)  # the longest paths stretch them
    assert max(item.num_nodes for item in dataset.split("test")) > 12


def test_the_recipe_draws_the_graphs_that_it_reads(tmp_path, rome):
    few = [record for record in rome if (record.graph.num_nodes or 0) < 12 and len(record.drawings)][:3]
    few += [record for record in rome if record.part == "other"][:1]
    source = write_collections({"rome": few, "north": [*read_collection("north")][:1]}, tmp_path / "source.npz")
    done = []
    (path,) = build(tmp_path / "new", 1, lambda *numbers: done.append(numbers), source)
    made = [*read_collection("rome", path)]
    assert [record.name for record in made] == [record.name for record in few] and done[-1] == (3, 3)
    assert all((a.graph.edge_index == b.graph.edge_index).all() for a, b in zip(made, few, strict=True))
    assert [len(record.drawings) for record in made] == [2, 2, 2, 0]
    drawings = [Data(edge_index=record.graph.edge_index, pos=record.drawings[0]) for record in made[:3]]
    old = [Data(edge_index=record.graph.edge_index, pos=record.drawings[0]) for record in few[:3]]
    mine, theirs = measure_drawings(drawings), measure_drawings(old)
    assert (mine["stress"] + 2 * mine["crossings"] < 1.2 * (theirs["stress"] + 2 * theirs["crossings"]) + 1).all()


def test_what_is_no_data_file_is_refused(tmp_path):
    (tmp_path / "other.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"Cannot read .*other\.npz as a numpy archive"):
        next(read_collection("rome", tmp_path / "other.npz"))
    with pytest.raises(ValueError, match="'rome', 'north'"):
        next(read_collection("paris"))


class TestLayoutGraph:
    def test_pairs_are_near_or_with_a_pivot_and_know_their_distance(self):
        graph = nx.cycle_graph(20)
        data = LayoutGraph(max_hops=2, pivots=2)(Data(edge_index=torch.tensor([*graph.edges]).t(), num_nodes=20))
        paths = dict(nx.all_pairs_shortest_path_length(graph))
        pairs = {*map(tuple, data.edge_index.t().tolist())}
        wanted = {(i, j) for i in range(20) for j in range(20) if i != j and (paths[i][j] <= 2 or {i, j} & {0, 10})}
        assert pairs == wanted  # 0 is the first of equally central nodes, 10 is opposite
        assert data.edge_index[1].tolist() == sorted(data.edge_index[1].tolist())
        hops = torch.tensor([paths[i][j] for i, j in data.edge_index.t().tolist()])
        assert (data.link == (hops == 1)).all()
        assert (data.path[:, -1] * 10).round().long().tolist() == hops.tolist()
        assert torch.allclose(data.path[:, :-1].sum(1), torch.ones(()))
        four = data.path[hops == 4][0].tolist()
        assert four == pytest.approx([0, 0, 0.5, 0.5, 0, 0, 0, 0.4])

    def test_a_graph_in_parts_is_refused(self):
        with pytest.raises(ValueError, match="1 of 3 nodes have no path to the first"):
            LayoutGraph()(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=3))
