"""From a user's data to samples: `config new`, `train`, `sample`, `evaluate`, four commands for each kind of data."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphscore.data import load_dataset, read, write
from graphscore.experiment.config.schema import load_config

QUICK = [
    "--set", "training.max_steps=3", "--set", "training.batch_size=4", "--set", "sampling.num_steps=2",
    "--set", "network.backbone.hidden_channels=16", "--set", "network.backbone.num_layers=1",
]  # fmt: skip


def make_molecules() -> str:
    groups = load_dataset("small-molecules").groups("val")[:20]
    write([item for group in groups for item in group[:2]], "mine.sdf")
    return "mine.sdf"


def make_clouds(folder) -> str:
    rng = np.random.default_rng(0)
    (folder / "clouds").mkdir()
    for number in range(24):
        turns = rng.uniform(0, 2 * np.pi, int(rng.integers(70, 90)))
        np.save(folder / "clouds" / f"{number}.npy", np.stack([np.cos(turns), np.sin(turns), 0 * turns], axis=-1))
    return "clouds"


def make_graphml(folder) -> str:
    (folder / "maps").mkdir()
    for number in range(24):
        graph = nx.random_geometric_graph(8 + number % 5, 0.6, seed=number)
        for node, values in graph.nodes(data=True):
            east, north = values.pop("pos")
            values.update(x=float(east), y=float(north), kind=node % 3, label=f"place {node}")
        nx.set_edge_attributes(graph, {edge: 1 + sum(edge) % 3 for edge in graph.edges}, "road")
        nx.write_graphml(graph, folder / "maps" / f"{number}.graphml")
    return "maps"


def make_features() -> str:
    nodes = [torch.arange(5 + number % 6) for number in range(24)]
    graphs = [Data(x=torch.randn(len(n), 2), edge_index=torch.stack([n, n.roll(1)])) for n in nodes]
    torch.save(graphs, "features.pt")
    return "features.pt"


@pytest.mark.parametrize("kind", ["molecules", "clouds", "graphml", "features"])
def test_four_commands_lead_from_data_to_samples(kind, run, tmp_path):
    torch.manual_seed(0)
    makers = {"clouds": make_clouds, "graphml": make_graphml}
    data = makers[kind](tmp_path) if kind in makers else make_molecules() if kind == "molecules" else make_features()
    out = "made.sdf" if kind == "molecules" else "made.pt"
    new = run("config", "new", "--data", data, "--out", "mine.yaml")
    assert new.code == 0, new.err
    assert "train --config mine.yaml" in " ".join(new.out.split())
    trained = run("train", "--config", "mine.yaml", "--out", "run", *QUICK)
    assert trained.code == 0, trained.err
    sampled = run("sample", "--checkpoint", "run", "--input", data, "--num", 2, "--out", out)
    assert sampled.code == 0, sampled.err
    given, made = read_all(tmp_path / data), read(tmp_path / out).items
    field = "x" if kind == "features" else "pos"
    sizes = [len(graph[field]) for graph in given for _ in range(2)]
    if kind == "molecules":  # molecules that a model of three steps cannot place are failures
        assert made and all(graph[field].isfinite().all() for graph in made)
    else:
        assert [graph[field].shape for graph in made] == [(size, given[0][field].shape[1]) for size in sizes]
        assert all(graph[field].isfinite().all() for graph in made)
    evaluated = run("evaluate", out, data)
    assert evaluated.code == 0, evaluated.err


def read_all(path) -> list[Data]:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [item for file in files for item in read(file).items]


def test_a_configuration_that_exists_is_not_replaced(run, tmp_path):
    make_features()
    (tmp_path / "mine.yaml").write_text("mine")
    result = run("config", "new", "--data", "features.pt", "--out", "mine.yaml")
    assert result.code == 2 and "mine.yaml exists" in result.err
    assert (tmp_path / "mine.yaml").read_text() == "mine"


def test_conditions_train_with_their_own_null_value(run, tmp_path):
    make_features()
    graphs = torch.load("features.pt", weights_only=False)
    for number, graph in enumerate(graphs):
        graph.season, graph.heat = torch.tensor([number % 4]), torch.rand(1, 1)
    torch.save(graphs, "features.pt")
    new = run(
        "config", "new", "--data", "features.pt", "--out", "a.yaml", "--condition", "season", "--condition", "heat"
    )
    assert new.code == 0, new.err
    config = load_config(tmp_path / "a.yaml")
    assert config.network.graph_inputs["season"] == 5 and config.conditions[0].null_value == 4
    assert config.conditions[1].null_value < 0
    assert run("train", "--config", "a.yaml", "--out", "run", *QUICK).code == 0
    stronger = ["--set", "guidance.0.strength=3"]
    sampled = run("sample", "--checkpoint", "run", "--input", "features.pt", "--out", "made.pt", *stronger)
    assert sampled.code == 0, sampled.err
