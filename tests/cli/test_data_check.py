"""``graphscore data check``: everything that is wrong with data, at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data

from graphscore.data.packed.packing import pack
from graphscore.experiment.data_check import expected_memory

CONFIG = """
data: {dataset: {name: files, path: own.pt, split: random}}
fields: [{name: pos, width: 3, scale: SCALE, sde: {name: edm}}]
network:
  backbone: {name: egnn, hidden_channels: 8, num_layers: 1}
  node_inputs: {z: 10}
  graph_inputs: {charge: {width: 1}}
  neighbors: {name: knn, k: 3}
conditions: [{name: charge, null_value: -9}]
training: {max_steps: 2, batch_size: 8}
"""


def graphs(num: int = 60) -> list[Data]:
    torch.manual_seed(0)
    return [
        Data(pos=torch.randn(5 + n, 3), z=torch.randint(0, 10, (5 + n,)), charge=torch.randn(1)) for n in range(num)
    ]


@pytest.fixture
def check(run, tmp_path: Path):
    """Check graphs by a configuration; the exit code, the report, and the sentences with their counts by weight."""

    def call(items: list, *arguments: str, scale: str = "auto"):
        torch.save(items, "own.pt")
        (tmp_path / "own.yaml").write_text(CONFIG.replace("SCALE", scale))
        done = run("data", "check", "--config", "own.yaml", "--out", "report.json", *arguments)
        report = json.loads((tmp_path / "report.json").read_text())
        found = {
            weight: {entry["example"]: (entry["count"], entry["places"]) for entry in report[weight]}
            for weight in ("stops", "spoils", "notes")
        }
        assert report["fit"] == (done.code == 0), done.err
        assert all(example in " ".join(done.out.split()) for sentences in found.values() for example in sentences)
        return done.code, report, found

    return call


def test_good_data_are_described(check):
    items = graphs()
    code, report, found = check(items)
    assert code == 0 and not any(found.values())
    assert sum(part["graphs"] for part in report["parts"].values()) == 60
    assert sum(part["nodes"]["sum"] for part in report["parts"].values()) == sum(item.num_nodes for item in items)
    memory = report["largest"].pop("memory")
    assert report["largest"] == {"graph": "graph 60", "nodes": 64, "edges": 0, "network_edges": 64 * 3}
    assert 0 < memory["largest"] < memory["step"] < 0.1 < memory["free"] and memory["device"] in ("cpu", "cuda")
    rows = torch.cat([item.pos for item in items]).double()
    figures = report["fields"]["pos"]
    assert figures["scale"] == pytest.approx(rows.square().mean().sqrt().item(), rel=1e-6)
    assert figures["mean"] == pytest.approx(rows.mean(0).tolist()) and figures["columns"] == {"3": 60}
    assert figures["std"] == pytest.approx(rows.std(0, unbiased=False).tolist())
    assert figures["range"] == [rows.min().item(), rows.max().item()]


def test_a_graph_that_does_not_fit_into_memory_stops_the_training(check, monkeypatch):
    monkeypatch.setattr(expected_memory, "free_memory", lambda device: 1000)
    code, _, found = check(graphs())
    assert code == 1 and found["stops"] == {
        "the largest graph does not fit into memory; see training.max_nodes": (1, [])
    }


def test_all_faults_are_told_at_once(check):
    items = graphs()
    items[3].z[0], items[13].z[0] = 10, 12
    items[4].pos[1, 2] = torch.nan
    items[5].pos = torch.randn(10, 2)
    items[6].pos[2] = items[6].pos[1]
    items[7].edge_index = torch.tensor([[0, 0, 1], [0, 1, 99]])
    items[8].edge_index = torch.tensor([[0, 0, 0], [0, 1, 1]])
    del items[9].charge
    items[10] = items[11].clone()
    items[12].z = items[12].z.float()
    items[14].charge = torch.tensor([-9.0])
    code, _, found = check([*items, "no graph"])
    assert code == 1
    assert found["stops"] == {
        "'z' goes from 0 to 10, but the network takes 0 to 9": (2, ["graph 4", "graph 14"]),
        "'pos' has the shape [10, 2], but the configuration says 3 columns": (1, ["graph 6"]),
        "it has no 'charge', an input of the network": (1, ["graph 10"]),
        "'z' must hold whole numbers, but is torch.float32": (1, ["graph 13"]),
        "pos has different numbers of columns: 3 in 57 graphs, 2 in 1 graphs": (1, []),
    }
    spoils = {
        "pos must be finite real numbers [N, D], but 1 of 27 are infinite or NaN": ["graph 5"],
        "it has 1 nodes at the place of another node": ["graph 7"],
        "not readable: Expected edge_index to hold numbers of nodes from 0 to 11, but it has 99": ["own.pt, graph 8"],
        "not readable: Expected a dict of tensors or a PyG Data, but got str": ["own.pt, graph 61"],
    }
    assert {sentence: found["spoils"][sentence][1] for sentence in spoils} == spoils
    assert found["spoils"]["'charge' is -9, which stands for no condition"] == (1, ["graph 15"])
    assert found["notes"]["it has 1 self loops"] == found["notes"]["it has 1 edges more than once"] == (1, ["graph 9"])
    assert found["notes"]["it has 11 nodes without edges"] == (1, ["graph 9"])
    assert found["notes"]["it is equal to 'graph 11'"] == (1, ["graph 12"])


def test_parts_and_scales(check):
    items = graphs(20)
    for item in items:
        item.pos[:, 2] *= 50
    whole = {"data.dataset.path": "{train: own.pt, test: own.pt}", "data.dataset.split": "null"}
    changes = [word for key, value in whole.items() for word in ("--set", f"{key}={value}")]
    _, report, found = check(items, *changes, scale="0.5")
    assert list(found["spoils"]) == [
        f"pos has the scale 0.5 in the configuration, but {report['fields']['pos']['scale']:.3g} in the data",
        "20 of 20 graphs of test are in train, too: they are the same graph",
    ]
    assert "the part val is empty" in found["notes"]
    assert any("in its columns, which share a scale" in note for note in found["notes"])
    for item in items:
        item.pos = torch.ones_like(item.pos) * torch.arange(item.num_nodes)[:, None].clamp(max=0)
    _, _, found = check(items)
    assert "pos is constant, 0 in all graphs" in found["stops"]
    _, _, found = check(items, "--set", "data.dataset.fractions=[0, 0.5, 0.5]")
    assert "the part train is empty" in found["stops"]


def test_files_alone_and_what_is_missing(run, tmp_path: Path):
    torch.save(graphs(), "own.pt")
    done = run("data", "check", "own.pt")
    assert done.code == 0 and "Nothing was found that would stop or spoil training" in done.out
    parts = run("data", "check", "train=own.pt", "test=own.pt")
    assert parts.code == 1 and "60 of 60 graphs of test are in train, too" in parts.out
    (tmp_path / "a.smi").write_text("C\n")
    lists = run("data", "check", "a.smi")
    assert lists.code == 1 and "it has no coordinates (pos), which training needs (graph 1)" in lists.out
    for arguments, words in {
        (): "Expected data, a configuration by --config, or both, but got neither",
        ("own.pt", "--set", "a=1"): "--set changes a configuration: name it, by --config",
        ("none.pt",): "There is no file none.pt",
        ("own.pt", "--out", "report.txt"): "expected one of the extensions .json",
    }.items():
        wrong = run("data", "check", *arguments)
        assert wrong.code == 2 and words in wrong.err


def test_data_sets_of_the_library_are_checked(run):
    pytest.importorskip("sklearn")
    done = run("data", "check", "--config", "digits")
    assert done.code == 0 and "1,427" in done.out and "pos: 2 columns" in done.out


def test_packed_graphs_are_checked_as_the_files_that_they_come_from(check, tmp_path: Path):
    items = graphs(30)
    items[3].z[0] = 10
    _, of_file, found = check(items)
    pack(tmp_path / "own.pt", tmp_path / "store", workers=1)
    _, of_store, again = check(items, "--set", "data.dataset.path=store")
    assert again == found and of_store["parts"] == of_file["parts"] and of_store["fields"] == of_file["fields"]


def test_numbers_of_graphs_are_inputs_as_pyg_batches_them(check):
    items = graphs(30)
    for item in items:
        item.charge = 0.5
    assert check(items)[0] == 0


def test_graphs_without_edges_are_noted_where_the_network_searches_for_none(check):
    _, _, found = check(graphs(30), "--set", "network.neighbors=null")
    assert "no graph has edges, and the network searches for none: most networks learn nothing then" in found["notes"]
