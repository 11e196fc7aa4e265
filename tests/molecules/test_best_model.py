"""The best model by recall of conformers: hydrogens are there again, and the numbers are those of the evaluation."""

from __future__ import annotations

import pytest
import torch

from graphscore.experiment.build import build_model
from graphscore.experiment.config.schema import load_config
from graphscore.experiment.datasets import build_dataset, with_given
from graphscore.experiment.training.samples import build_score
from graphscore.molecules.baselines import etkdg
from graphscore.molecules.evaluate import evaluate_methods

BACKBONE = (
    "network.backbone={name: equivariant-transformer, hidden_channels: 8, num_layers: 1, edge_channels: 8, "
    "cond_channels: 8, num_basis: 4, num_heads: 2, cutoff: null, input_vectors: 1}"
)


@pytest.mark.parametrize(("metric", "highest"), [("amr_r.mean", False), ("cov_r.2.0.mean", True)])
def test_conformers_are_scored_by_molecule(metric, highest, tmp_path):
    graphs = [graph for smiles in ("CCO", "CC(=O)N") for graph in etkdg(smiles, 3, 0)]
    data = {"train": graphs, "val": graphs}
    changes = [BACKBONE, "fields.0.scale=1.2", f"training.best={{metric: {metric}, num_graphs: 6, num_steps: 3}}"]
    config = with_given(load_config("conformers-small", changes))
    torch.manual_seed(0)
    model = build_model(config).eval()
    score = build_score(config, model, {"z": [6, 7, 8]}, build_dataset(config, data=data), data, tmp_path)
    drawn = score.draw(model, 0, 1)
    assert score.column == f"sampled_{metric}" and score.highest == highest
    assert sorted(graph.num_nodes for graph in drawn) == [9, 9, 9, 9, 9, 9]
    halves = [score.draw(model, rank, 2) for rank in range(2)]
    assert score.measure(halves) == pytest.approx(score.measure([drawn]), rel=1e-5)
    by_molecule = {name: [g for g in graphs if g.smiles == name] for name in {graph.smiles for graph in graphs}}
    made = {name: [g for g in drawn if g.smiles == name] for name in by_molecule}
    report = evaluate_methods(by_molecule, {"": made})[""]
    expected = report["amr_r"]["mean"] if metric == "amr_r.mean" else report["cov_r"]["2.0"]["mean"]
    assert score.measure([drawn]) == pytest.approx(expected)
