"""Files compared and drawn by what their domain has for it."""

from __future__ import annotations

import json

import pytest
import torch
from torch_geometric.data import Data

from graphscore.data import load_dataset, write
from graphscore.experiment.evaluation.files import evaluate_files, view_file


@pytest.fixture
def clouds(tmp_path):
    groups = load_dataset("digits").groups("test")
    write([group[0] for group in groups[:3]], tmp_path / "made.pt")
    write([group[0] for group in groups[1:5]], tmp_path / "reference.pt")
    write([Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)], tmp_path / "graphs.pt")
    return tmp_path


def test_clouds_are_compared_as_two_sets(clouds):
    out = clouds / "report.json"
    domain, report = evaluate_files(clouds / "made.pt", clouds / "reference.pt", out)
    assert domain.name == "clouds" and json.loads(out.read_text()) == report
    same = evaluate_files(clouds / "made.pt", clouds / "made.pt").report
    assert same["recall"] == same["precision"] == pytest.approx(0, abs=1e-6)
    assert report["recall"] > 0 and (report["num_references"], report["num_generated"]) == (4, 3)


def test_what_a_domain_does_not_take_is_said(clouds):
    with pytest.raises(ValueError, match="holds clouds, which are evaluated without --posebusters"):
        evaluate_files(clouds / "made.pt", clouds / "reference.pt", posebusters=True)
    with pytest.raises(ValueError, match="nothing to compare: no real-valued attribute"):
        evaluate_files(clouds / "made.pt", clouds / "graphs.pt")
    with pytest.raises(ValueError, match="holds clouds, which are drawn as .png or .html or .svg, not .gif"):
        view_file(clouds / "made.pt", clouds / "x.gif")
    with pytest.raises(ValueError, match="holds nothing to draw: graphs with positions"):
        view_file(clouds / "graphs.pt", clouds / "x.png")


def test_graphs_of_a_more_special_kind_than_the_references_are_refused(clouds):
    edges = torch.tensor([[0, 1], [1, 0]])
    write([Data(pos=torch.zeros(2, 2), edge_index=edges, link=torch.ones(2, dtype=torch.long))], clouds / "drawn.pt")
    with pytest.raises(ValueError, match=r"drawn.pt holds layouts, but the reference .*made.pt holds clouds"):
        evaluate_files(clouds / "drawn.pt", clouds / "made.pt")


@pytest.mark.parametrize("reference", [None, "reference.pt"])
def test_clouds_are_drawn(clouds, reference):
    pytest.importorskip("matplotlib")
    made = view_file(clouds / "made.pt", clouds / "x.png", reference and clouds / reference)
    assert made.path.is_file() and made.content == "3 graph(s)" and not made.notes
