"""Own graphs without coordinates, from a file to a trained model and its samples."""

from __future__ import annotations

import torch
from torch_geometric.data import Batch, Data

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
    made = torch.load("made.pt", weights_only=True)
    assert [sample["x"].shape for sample in made] == [(5, 2)] * 3 + [(12, 2)] * 3
    assert all(sample["x"].isfinite().all() for sample in made)
    torch.save([Data(pos=torch.randn(4, 2)) for _ in range(9)], "own.pt")
    refused = run("train", "--config", "own.yaml", "--out", "other")
    assert refused.code == 2 and "No graph of own.pt has x; the first failure" in refused.err


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
