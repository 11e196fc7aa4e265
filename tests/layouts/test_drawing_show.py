"""Pictures, pages and reports of graph drawings, and every command on files of them."""

from __future__ import annotations

import json

import networkx as nx
import pytest
import torch
from torch_geometric.data import Data
from typer.testing import CliRunner

from graphscore.cli.app import app
from graphscore.data import write
from graphscore.domains import domain_of
from graphscore.experiment.drawings import picture
from graphscore.experiment.drawings.shapes import Block
from graphscore.layouts.domain import LAYOUTS
from graphscore.layouts.show import STYLE, report

pytest.importorskip("matplotlib")


def drawing(graph: nx.Graph, seed: int = 0) -> Data:
    edges = torch.tensor([*graph.edges]).t()
    pos = torch.randn(len(graph), 2, generator=torch.Generator().manual_seed(seed))
    both = torch.cat([edges, edges.flip(0)], 1)
    return Data(edge_index=both, link=torch.ones(both.shape[1], dtype=torch.long), pos=pos, num_nodes=len(graph))


@pytest.fixture
def drawings() -> list[Data]:
    return [drawing(nx.cycle_graph(5)), drawing(nx.path_graph(4)), drawing(nx.complete_graph(4))]


def test_graphs_with_links_are_drawings_and_others_are_not(drawings):
    assert domain_of(drawings[0]) is LAYOUTS
    assert domain_of(Data(pos=torch.zeros(2, 2), edge_index=torch.zeros(2, 0, dtype=torch.long))).name == "clouds"


def test_links_alone_are_drawn_and_crossings_counted(tmp_path, drawings, monkeypatch):
    cycle = drawings[0].clone()
    cycle.link = (cycle.edge_index.sum(0) != 1).long()  # without the edge of nodes 0 and 1
    figures = []
    monkeypatch.setattr(picture, "save_figure", lambda figure, path: figures.append(figure))
    STYLE.draw([Block("", [cycle], STYLE.labels([cycle]))], tmp_path / "few.png")
    (axes,) = figures[0].axes
    assert len(axes.collections[0].get_segments()) == 4
    assert figures[0].texts[0].get_text().startswith("5 nodes, ")


def test_view_and_evaluate_know_drawings(tmp_path, drawings):
    first, second = tmp_path / "first.pt", tmp_path / "second.pt"
    write(drawings, first)
    write([drawing(nx.cycle_graph(5), seed=3)], second)
    run = CliRunner().invoke
    result = run(app, ["view", str(first), "--reference", str(second), "--out", str(tmp_path / "x.html")])
    assert result.exit_code == 0, result.output
    assert '"reference"' in (tmp_path / "x.html").read_text()
    result = run(app, ["evaluate", str(first), str(second), "--out", str(tmp_path / "report.json")])
    assert result.exit_code == 0 and "crossings" in result.output, result.output
    scores = json.loads((tmp_path / "report.json").read_text())
    assert scores["generated"]["drawings"] == 3 and scores["reference"]["drawings"] == 1
    assert scores["generated"]["stress"] > 0
    numbers = {f"generated.{name}" for name in scores["generated"]} - {"generated.drawings"}
    assert numbers == LAYOUTS.scores.keys(), "a model can be chosen by each metric"


def test_a_report_compares_methods_with_the_references(tmp_path, drawings):
    groups = [[item] for item in drawings]
    found = report(groups, {"model": groups, "untrained": [[], [], []]}, tmp_path, 0)
    assert found.scores["model"] == found.scores["reference"]
    assert found.scores["untrained"] == {"drawings": 0} | dict.fromkeys([*found.scores["model"]][1:])
    assert all(path.is_file() for path in found.files.values())
