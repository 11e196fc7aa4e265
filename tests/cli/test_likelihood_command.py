"""``graphscore likelihood``: tables of how usual the graphs of a file are."""

from __future__ import annotations

import csv
import io
import json

import networkx as nx
import pytest
import torch

from graphscore.data.networkx import from_networkx
from graphscore.data.writers import write


@pytest.fixture
def file(tmp_path):
    graphs = []
    for number, angle in enumerate((1.0, 2.5)):
        graph = nx.cycle_graph(4)
        turn = torch.arange(4) * angle * torch.pi / 2
        for node in graph:
            graph.nodes[node]["pos"] = [float(turn[node].cos()), float(turn[node].sin())]
        graphs.append(from_networkx(graph))
        graphs[-1].name = f"cycle {number}"
    write(graphs, tmp_path / "in.pt")
    return tmp_path / "in.pt"


def test_tables(run, file, tmp_path):
    options = ("--model", "layout", "--tolerance", "0.05")
    result = run("likelihood", file, *options, "--out", "out.csv")
    assert result.code == 0, result.err
    assert "Wrote out.csv: 2 graphs" in result.out and "(cycle 1)" in result.out
    rows = [*csv.DictReader((tmp_path / "out.csv").open())]
    assert [row["graph"] for row in rows] == ["cycle 0", "cycle 1"]
    usual, crossed = (float(row["nats_per_dimension"]) for row in rows)
    assert usual > crossed and [row["dimensions"] for row in rows] == ["6", "6"]
    assert run("likelihood", file, *options, "--exact", "--out", "out.json").code == 0
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["settings"]["num_probes"] is None
    assert [row["standard_error"] for row in content["graphs"]] == [0, 0]
    assert content["graphs"][0]["nats"] == pytest.approx(6 * content["graphs"][0]["nats_per_dimension"])
    printed = run("likelihood", file, *options)
    assert [row["graph"] for row in csv.DictReader(io.StringIO(printed.out))] == ["cycle 0", "cycle 1"]


def test_wrong_input_is_named(run, file):
    for arguments, said in (
        ([file], "Missing option '--checkpoint'"),
        ([file, "--model", "none"], "none"),
        ([file, "--model", "layout", "--out", "x.txt"], "Cannot write x.txt"),
        ([file, "--model", "layout", "--tolerance", "2"], "tolerance and start between 0 and 1"),
        (["none.pt", "--model", "layout"], "none.pt"),
    ):
        result = run("likelihood", *arguments)
        assert result.code == 2 and said in " ".join(result.err.split()), result.err
