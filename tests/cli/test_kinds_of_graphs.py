"""A model knows the kind of graphs that it was trained on: it refuses others, and notes unusual sizes."""

from __future__ import annotations

import json

import pytest
import torch
from torch_geometric.data import Data

from graphscore.experiment.sampling.pipeline import Pipeline
from graphscore.experiment.trained_on import TrainedOn
from graphscore.runtime.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

CONFIG = """
data: {dataset: {name: files, path: clouds.pt}}
transforms: [complete-graph]
fields: [{name: pos, width: 2, zero_mean: true, sde: edm}]
network: {backbone: {name: egnn, hidden_channels: 8, num_layers: 1}}
training: {max_steps: 2, batch_size: 8}
sampling: {num_steps: 2}
"""


@pytest.fixture
def clouds(run, tmp_path):
    """A run on clouds of 5 to 9 points in the plane."""
    (tmp_path / "clouds.yaml").write_text(CONFIG)
    torch.save([Data(pos=torch.randn(5 + k % 5, 2)) for k in range(30)], "clouds.pt")
    trained = run("train", "--config", "clouds.yaml", "--out", "run")
    assert trained.code == 0, trained.err
    return tmp_path / "run" / "model.safetensors"


def test_the_model_file_says_what_it_was_trained_on(clouds):
    assert load_checkpoint(clouds).info["graphs"] == {
        "domains": ["clouds"],
        "attributes": ["edge_index", "hops", "pos"],
        "dimensions": 2,
        "num_nodes": [5, 9],
    }


def test_graphs_of_another_kind_are_refused_and_unusual_sizes_noted(run, clouds, tmp_path):
    refused = run("sample", "--checkpoint", "run", "CCO", "--out", "x.sdf")
    assert refused.code == 2
    assert "the model was trained on clouds, but the input is one of the molecules" in refused.err
    validated = run("validate", "clouds.pt", "--checkpoint", "run")
    assert validated.code == 0, validated.err
    graphs = [
        Data(num_nodes=7),
        Data(pos=torch.randn(6, 2)),
        Data(pos=torch.randn(6, 3)),
        Data(num_nodes=19),
        Data(num_nodes=2),
    ]
    torch.save(graphs, "in.pt")
    sampled = run("sample", "--checkpoint", "run", "--input", "in.pt", "--out", "x.pt")
    assert sampled.code == 0, sampled.err
    entries = json.loads((tmp_path / "x.pt.report.json").read_text())["inputs"]
    assert [entry["written"] for entry in entries] == [1, 1, 0, 1, 1]
    assert entries[2]["failure"] == "the model was trained in 2 dimensions, but pos of the input has 3"
    assert not entries[0]["notes"]
    assert entries[3]["notes"] == [
        "it has 19 nodes, but the model was trained on graphs of 5 to 9: samples may be poor"
    ]
    assert entries[4]["notes"][0].startswith("it has 2 nodes")
    assert run("validate", "in.pt", "--checkpoint", "run").code == 1


def test_a_model_without_the_record_takes_what_its_network_takes(clouds):
    content = load_checkpoint(clouds)
    info = {key: value for key, value in content.info.items() if key != "graphs"}
    save_checkpoint(clouds, Checkpoint(content.state, content.config, info))
    (outcome,) = Pipeline.load(clouds).sample([Data(pos=torch.randn(40, 2))])
    assert len(outcome.samples) == 1 and not outcome.notes


@pytest.mark.parametrize("record", [3, {}, {"domains": [], "attributes": [], "num_nodes": [1, 2]}, {"domains": "x"}])
def test_a_record_that_is_none_is_refused(clouds, record):
    content = load_checkpoint(clouds)
    save_checkpoint(clouds, Checkpoint(content.state, content.config, {**content.info, "graphs": record}))
    with pytest.raises(ValueError, match="does not say what it was trained on: info.graphs"):
        Pipeline.load(clouds)


def seen(*domains: str, dimensions: int | None = None) -> TrainedOn:
    return TrainedOn(domains=domains, attributes=(), dimensions=dimensions, num_nodes=(1, 9))


MOLECULE = Data(z=torch.tensor([6]), charge=torch.tensor([0]), bond=torch.empty(0), edge_index=torch.empty(2, 0))


@pytest.mark.parametrize(
    ("trained", "graph", "refused"),
    [
        (seen("molecules", dimensions=3), MOLECULE, False),
        (seen("molecules", "clouds", dimensions=3), MOLECULE, False),
        (seen("clouds", dimensions=3), MOLECULE, True),
        (seen("graphs"), MOLECULE, True),
        (seen("molecules", dimensions=3), Data(num_nodes=3), False),
        (seen("molecules", dimensions=3), Data(pos=torch.randn(3, 3)), False),
        (seen("graphs"), Data(pos=torch.randn(3, 3)), True),
        (seen("graphs"), Data(x=torch.randn(3, 3)), False),
        (seen("of a package that is not installed"), MOLECULE, True),
    ],
)
def test_kinds(trained, graph, refused):
    assert bool(trained.refuses(graph)) == refused
