"""Own graphs without coordinates, from a file to a trained model and its samples."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import pytest
import torch
from torch_geometric.data import Batch, Data

from graphscore.data import read, to_networkx
from graphscore.experiment.sampling.journal import Journal

CONFIG = """
data: {dataset: {name: files, path: own.pt}}
fields: [{name: x, width: 2, sde: {name: edm}}]
network: {backbone: {name: egnn, hidden_channels: 8, num_layers: 1}, positions: null}
training: {max_steps: 4, batch_size: 8}
sampling: {num_steps: 3}
"""


def ring(n: int) -> Data:
    nodes = torch.arange(n)
    edge_index = torch.stack([torch.cat([nodes, nodes.roll(1)]), torch.cat([nodes.roll(1), nodes])])
    return Data(edge_index=edge_index, num_nodes=n)


def test_attributes_of_some_graphs_and_doubles_do_not_stop_training(run, tmp_path):
    (tmp_path / "own.yaml").write_text(CONFIG)
    graphs = [ring(n) for n in range(3, 9) for _ in range(6)]
    for number, graph in enumerate(graphs):
        graph.x = torch.randn(graph.num_nodes, 2).double()
        if number % 2:
            graph.y, graph.name = torch.randn(1, 3), f"graph {number}"
    torch.save(graphs, "own.pt")
    trained = run("train", "--config", "own.yaml", "--out", "run")
    assert trained.code == 0, trained.err
    sampled = run("sample", "--checkpoint", "run", "--input", "own.pt", "--out", "made.pt")
    assert sampled.code == 0, sampled.err
    assert run("data", "pack", "own.pt", "--out", "packed").code == 0
    trained = run("train", "--config", "own.yaml", "--data", "packed", "--out", "other")
    assert trained.code == 0, trained.err


def test_features_alone_are_learned_and_sampled(run, tmp_path):
    (tmp_path / "own.yaml").write_text(CONFIG)
    graphs = [ring(n) for n in range(3, 9) for _ in range(6)]
    for graph in graphs:
        graph.x = torch.randn(graph.num_nodes, 2)
    torch.save(Batch.from_data_list(graphs), "own.pt")
    trained = run("train", "--config", "own.yaml", "--out", "run")
    assert trained.code == 0, trained.err
    torch.save([ring(5), ring(12)], "bare.pt")
    sampled = run("sample", "--checkpoint", "run", "--input", "bare.pt", "--num", "3", "--out", "made.pt")
    assert sampled.code == 0, sampled.err
    made = read("made.pt").items
    assert [sample["x"].shape for sample in made] == [(5, 2)] * 3 + [(12, 2)] * 3
    assert all(sample["x"].isfinite().all() for sample in made)
    torch.save([Data(pos=torch.randn(4, 2)) for _ in range(9)], "own.pt")
    refused = run("train", "--config", "own.yaml", "--out", "other")
    assert refused.code == 2 and "No graph of own.pt has x; the first failure" in refused.err


@pytest.fixture
def feature_model(run, tmp_path) -> str:
    """A run that has learned the features ``x`` of rings."""
    (tmp_path / "own.yaml").write_text(CONFIG)
    graphs = [ring(n) for n in range(3, 9) for _ in range(6)]
    for graph in graphs:
        graph.x = torch.randn(graph.num_nodes, 2)
    torch.save(graphs, "own.pt")
    trained = run("train", "--config", "own.yaml", "--out", "run")
    assert trained.code == 0, trained.err
    return "run"


def test_graphs_come_out_as_they_came_in(run, feature_model, tmp_path, monkeypatch):
    """In each format, with their names and weights, also by a job that stopped and went on."""
    (tmp_path / "in").mkdir()
    for n in (4, 6, 3):
        graph = nx.cycle_graph(n)
        graph = nx.relabel_nodes(graph, {k: f"n{k}" for k in graph})
        graph.graph["name"] = f"ring {n}"
        nx.set_node_attributes(graph, {node: 1.5 + k for k, node in enumerate(graph)}, "mass")
        nx.set_edge_attributes(graph, {edge: f"{edge[0]}~" for edge in graph.edges}, "tag")
        nx.write_graphml(graph, tmp_path / "in" / f"{n}.graphml")
    given = {item.name: item for item in (read(tmp_path / "in" / f"{n}.graphml").items[0] for n in (3, 4, 6))}
    files, add, expected = {}, Journal.add, None
    for suffix in (".pt", ".npz", ".graphml", ".graphml.gz", ".graphml.zip"):
        command = ["sample", "--checkpoint", feature_model, "--input", "in", "--num", "2", "--workers", "1", "--out"]
        whole = run(*command, f"whole{suffix}")
        assert whole.code == 0, whole.err
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "add", lambda self, *args: add(self, *args) if self.done < 2 else 1 / 0)
            assert run(*command, f"cut{suffix}").code == 1
        assert run(*command, f"cut{suffix}", "--resume").code == 0
        files[suffix] = read(f"cut{suffix}").items
        assert Path(f"cut{suffix}").read_bytes() == Path(f"whole{suffix}").read_bytes()
        expected = expected or files[suffix]
        for made, same in zip(files[suffix], expected, strict=True):
            origin = given[made.name]
            assert torch.equal(made.x, same.x) and made["sample"] in (1, 2) and made["method"] == "sampled"
            assert torch.equal(made.edge_index, origin.edge_index) and torch.equal(made.mass, origin.mass)
            found, graph = to_networkx(made), to_networkx(origin)
            assert list(found.nodes) == list(graph.nodes)
            assert nx.get_edge_attributes(found, "tag") == nx.get_edge_attributes(graph, "tag")
    assert [made.name for made in expected] == ["ring 3"] * 2 + ["ring 4"] * 2 + ["ring 6"] * 2


def test_own_parts_on_the_command_line(run, tmp_path):
    (tmp_path / "own.yaml").write_text(CONFIG)
    for name, num in (("a", 9), ("b", 4), ("c", 2)):
        torch.save([ring(n) for n in range(3, 3 + num)], tmp_path / f"{name}.pt")
    wrong = {
        ("a.pt", "val=b.pt"): "Expected --data PATH once, or train=PATH, val=PATH and test=PATH",
        ("val=b.pt", "test=c.pt"): "Expected --data train=PATH beside those of val and test",
        ("train=a.pt", "train=b.pt"): "Expected one --data train=PATH, but got a.pt and b.pt",
        ("train=a.pt", "val=none.pt"): "There is no file none.pt",
    }
    for paths, words in wrong.items():
        given = [argument for path in paths for argument in ("--data", path)]
        refused = run("train", "--config", "own.yaml", "--out", "run", *given)
        assert refused.code == 2 and words in refused.err
