"""Metrics of graphs of no domain: exact for known distributions."""

from __future__ import annotations

import json

import pytest
import torch
from scipy.stats import norm, wasserstein_distance
from torch_geometric.data import Data

from graphscore.experiment.evaluation.files import evaluate_files
from graphscore.experiment.evaluation.graphs import compare_graphs

RING = torch.stack([torch.arange(40), torch.arange(40).roll(1)])


def graphs(num: int, seed: int, smooth: bool = False) -> list[Data]:
    generator = torch.Generator().manual_seed(seed)
    made = []
    for _ in range(num):
        x = torch.randn(40, 2, generator=generator)
        made.append(Data(x=(x + x.roll(1, 0)) / 2**0.5 if smooth else x, edge_index=RING))
    return made


def test_equal_sets_have_no_distance_and_shifts_are_measured_in_standard_deviations():
    references = graphs(20, 0)
    assert compare_graphs(references, references) == {"distance of x": 0.0, "distance of x across edges": 0.0}
    scale = torch.cat([graph.x for graph in references]).double().std(0, unbiased=False).float()
    moved = [Data(x=graph.x + 3 * scale, edge_index=RING) for graph in references]
    scores = compare_graphs(references, moved)
    assert scores["distance of x"] == pytest.approx(3, abs=1e-6)
    assert scores["distance of x across edges"] == pytest.approx(0, abs=1e-6)


def test_what_differs_along_the_edges_alone_is_seen():
    """Sums of neighbors have the same distribution at each node, and differences that are smaller by sqrt(2)."""
    scores = compare_graphs(graphs(300, 0), graphs(300, 1, smooth=True))
    assert scores["distance of x"] < 0.03
    # |N(0, 2)| against |N(0, 1)|, in standard deviations of the former.
    mean, deviation = 2 * norm.pdf(0) * 2**0.5, (2 - 4 / torch.pi) ** 0.5
    assert scores["distance of x across edges"] == pytest.approx(mean * (1 - 2**-0.5) / deviation, abs=0.03)


def test_the_distance_is_that_of_scipy():
    first, second = graphs(5, 0), graphs(7, 1)
    columns = [torch.cat([graph.x for graph in side]).double().numpy().T for side in (first, second)]
    wanted = [wasserstein_distance(a, b) / a.std() for a, b in zip(*columns, strict=True)]
    assert compare_graphs(first, second)["distance of x"] == pytest.approx(sum(wanted) / 2, abs=1e-9)


def test_files_are_compared_with_numbers_of_graphs(tmp_path):
    torch.save(graphs(4, 0), tmp_path / "reference.pt")
    torch.save(graphs(6, 1), tmp_path / "made.pt")
    domain, report = evaluate_files(tmp_path / "made.pt", tmp_path / "reference.pt", tmp_path / "out.json")
    assert domain.name == "graphs" and json.loads((tmp_path / "out.json").read_text()) == report
    assert (report["num_references"], report["num_generated"]) == (4, 6)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ([Data(y=torch.randn(3, 2), num_nodes=3)], "nothing to compare"),
        ([Data(x=torch.randn(3, 4))], "nothing to compare"),
        ([Data(x=torch.full((3, 2), float("nan")))], "Expected finite values of x"),
    ],
)
def test_what_cannot_be_compared_is_said(other, words):
    with pytest.raises(ValueError, match=words):
        compare_graphs(graphs(3, 0), other)
