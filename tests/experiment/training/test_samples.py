"""The best model by the metrics of samples: only validation graphs, the averaged weights, the sampler of the run."""

from __future__ import annotations

import csv

import pytest
import torch
from torch_geometric.data import Data

from graphscore.experiment.config.schema import check_config
from graphscore.experiment.evaluation.graphs import compare_graphs
from graphscore.experiment.sampling.pipeline import Pipeline
from graphscore.experiment.training import samples
from graphscore.experiment.training.run import resume_training, train_model

CONFIG = {
    "data": {"dataset": "given"},
    "fields": [{"name": "x", "width": 2, "sde": "edm"}],
    "network": {
        "backbone": {"name": "egnn", "hidden_channels": 8, "num_layers": 1, "cond_channels": 8},
        "positions": None,
        "node_inputs": {"kind": 3},
    },
    "transforms": ["complete-graph"],
    "training": {"max_steps": 4, "batch_size": 4, "validate_every": 2, "checkpoint_every": 2},
    "sampling": {"num_steps": 4},
}


def make_config(**best):
    return check_config({**CONFIG, "training": {**CONFIG["training"], "best": best or None}}, "test")


def make_data(num: int = 6) -> dict[str, list[Data]]:
    draw = torch.Generator().manual_seed(0)
    parts = {}
    for number, part in enumerate(("train", "val", "test")):
        parts[part] = [
            Data(x=torch.randn(3 + k % 2, 2, generator=draw), kind=torch.arange(3 + k % 2) % 3, part=number, number=k,
                 edge_index=torch.tensor([[0, 1], [1, 0]]))
            for k in range(num)
        ]  # fmt: skip
    return parts


def history(run) -> list[dict[str, str]]:
    with (run / "logs" / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_validation_graphs_are_sampled_and_compared_as_the_run_would_do_it(tmp_path, monkeypatch):
    seen: list[tuple[samples.ValidationSamples, list[Data]]] = []
    measure = samples.ValidationSamples.measure
    monkeypatch.setattr(
        samples.ValidationSamples,
        "measure",
        lambda self, shares: seen.append((self, shares[0])) or measure(self, shares),
    )
    config = make_config(metric="distance of x", every=2, num_graphs=4, num_samples=2, num_steps=3)
    run = train_model(config, tmp_path / "run", data=make_data(), progress=False)
    assert len(seen) == 2 and run.metrics["sampled_distance_of_x"] > 0
    chosen = [(graph["part"], graph["number"]) for graph in seen[0][0].references]
    assert len(set(chosen)) == 4 and {part for part, _ in chosen} == {1}
    values = [compare_graphs(work.references, drawn)["distance of x"] for work, drawn in seen]
    column = [float(row["sampled_distance_of_x"]) for row in history(tmp_path / "run") if row["sampled_distance_of_x"]]
    assert column == values and values[0] != values[1]

    pipeline = Pipeline.load(tmp_path / "run" / "best-sampled.safetensors", device="cpu")
    outcomes = pipeline.sample([group[0] for group in seen[0][0].groups], num=2, num_steps=3, retries=0, repair=False)
    expected = [sample for outcome in outcomes for sample in outcome.samples]
    best = seen[values.index(min(values))][1]
    assert len(best) == 8 and all(torch.equal(a.x, b.x) for a, b in zip(best, expected, strict=True))
    assert best[0].edge_index.shape == (2, 2), "samples are without the edges of the transforms"

    plain = train_model(make_config(), tmp_path / "plain", data=make_data(), progress=False)
    states = [torch.load(path.parent / "last.ckpt", weights_only=True)["state_dict"] for path in (run.path, plain.path)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert not (tmp_path / "plain" / "best-sampled.safetensors").exists()
    changes = ["training.best={metric: distance of x, every: 3, num_graphs: 2}", "training.max_steps=6"]
    resumed = resume_training(tmp_path / "plain", changes, data=make_data(), progress=False)
    assert "sampled_distance_of_x" in resumed.metrics and (tmp_path / "plain" / "best-sampled.safetensors").is_file()


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (
            "distance of y",
            "graphs have no metric 'distance of y'; did you mean 'distance of x'?; expected one of distance of",
        ),
        ("num_references", "graphs have no metric 'num_references'"),  # a number, but none to choose a model by
    ],
)
def test_a_metric_that_the_graphs_do_not_have_is_refused_before_the_training(metric, words, tmp_path):
    with pytest.raises(ValueError, match=words.replace("?", "\\?")):
        train_model(make_config(metric=metric), tmp_path / "run", data=make_data(), progress=False)
    assert not (tmp_path / "run").exists()


def test_without_validation_graphs_there_is_nothing_to_sample(tmp_path):
    with pytest.raises(ValueError, match="needs graphs to validate on, but the validation part is empty"):
        train_model(make_config(metric="distance of x"), tmp_path / "run", data={"train": make_data()["train"]})


def test_groups_are_taken_whole_until_there_are_enough_graphs_and_none_that_is_too_large(tmp_path):
    class Grouped:
        def groups(self, part):
            assert part == "val"
            return [[Data(num_nodes=k + 1, edge_index=torch.empty(2, 0, dtype=torch.long))] * 3 for k in range(5)]

    config = make_config(metric="distance of x", num_graphs=7)
    config = config.model_copy(update={"training": config.training.model_copy(update={"max_nodes": 4})})
    chosen = samples._choose(Grouped(), config, config.training.best)
    assert [len(group) for group in chosen] == [3, 3, 1]
    assert len({group[0].num_nodes for group in chosen}) == 3 and max(group[0].num_nodes for group in chosen) <= 4
