"""``graphscore layout``: graphs of files, with their positions written back."""

from __future__ import annotations

import csv
import json
import math

import networkx as nx
import pytest


@pytest.fixture
def graph() -> nx.Graph:
    graph = nx.cycle_graph(["a", "b c", "d", "1"])
    nx.set_edge_attributes(graph, 1.0, "far")
    graph.edges["a", "b c"]["far"] = 3.0
    return graph


def write(graph: nx.Graph, path) -> None:
    if path.suffix == ".csv":
        path.write_text("from,to,far\n" + "".join(f"{u},{v},{far}\n" for u, v, far in graph.edges(data="far")))
    elif path.suffix == ".json":
        path.write_text(json.dumps(nx.node_link_data(graph, edges="links")))
    else:
        {".graphml": nx.write_graphml, ".gml": nx.write_gml}[path.suffix](graph, path)


@pytest.mark.parametrize("suffix", [".graphml", ".gml", ".json", ".csv"])
def test_positions_are_written_back(run, tmp_path, graph, suffix):
    write(graph, tmp_path / f"in{suffix}")
    result = run("layout", f"in{suffix}", "--length", "far", "--out", "out.json", "--num", "2")
    assert result.code == 0, result.err
    assert "Wrote out.json: 4 nodes, 4 edges" in result.out and "0 crossings" in result.out
    nodes = {node["id"]: (node["x"], node["y"]) for node in json.loads((tmp_path / "out.json").read_text())["nodes"]}
    assert {*nodes} == {*graph}
    assert math.dist(nodes["a"], nodes["b c"]) > 1.5 * math.dist(nodes["d"], nodes["1"])


@pytest.mark.parametrize("suffix", [".graphml", ".gml", ".csv", ".html", ".png"])
def test_all_outputs(run, tmp_path, graph, suffix):
    pytest.importorskip("matplotlib")
    write(graph, tmp_path / "in.graphml")
    result = run("layout", "in.graphml", "--out", f"out{suffix}", "--num", "1", "--refine", "stress")
    assert result.code == 0, result.err
    out = tmp_path / f"out{suffix}"
    if suffix == ".graphml":
        assert all(math.isfinite(node["x"]) for node in nx.read_graphml(out).nodes.values())
    elif suffix == ".gml":
        assert all(math.isfinite(node["y"]) for node in nx.read_gml(out).nodes.values())
    elif suffix == ".csv":
        assert [row["node"] for row in csv.DictReader(out.open())] == [*graph]
    else:
        assert out.stat().st_size > 400


def test_energies(run, tmp_path):
    nx.write_edgelist(nx.convert_node_labels_to_integers(nx.grid_2d_graph(2, 3)), tmp_path / "in.txt", data=False)
    result = run("layout", "in.txt", "--energy", "alignment=3", "--energy", "overlap", "--out", "out.csv")
    assert result.code == 0, result.err
    pos = {row["node"]: (float(row["x"]), float(row["y"])) for row in csv.DictReader((tmp_path / "out.csv").open())}
    for u, v in nx.read_edgelist(tmp_path / "in.txt").edges:
        assert min(abs(a - b) for a, b in zip(pos[u], pos[v], strict=True)) < 0.1  # horizontal or vertical


def test_wrong_input_is_named(run, tmp_path):
    (tmp_path / "bad.graphml").write_text("<graph")
    (tmp_path / "bad.csv").write_text("a,b\n1\n")
    (tmp_path / "x.txt").write_text("a b\n")
    (tmp_path / "x.csv").write_text("u,v\na,b\n")
    (tmp_path / "x.xyz").write_text("a b\n")
    for arguments, said in (
        (["bad.graphml", "--out", "x.png"], "bad.graphml cannot be read as graphml"),
        (["bad.csv", "--out", "x.png"], "expected lines of two nodes"),
        (["none.gml", "--out", "x.png"], "no file none.gml"),
        (["x.xyz", "--out", "x.png"], "but got x.xyz"),
        (["x.txt", "--out", "x.pdf"], "Cannot write x.pdf"),
        (["x.csv", "--out", "x.csv"], "would replace the input x.csv"),
        (["x.txt", "--out", "x.txt/x.png"], "is a file, not a folder"),
        (["x.txt", "--out", "x.png", "--refine", "hard"], "but got 'hard'"),
        (
            ["x.txt", "--out", "x.png", "--energy", "grid=much"],
            "NAME=STRENGTH, such as crossings=2, but got 'grid=much'",
        ),
        (["x.txt", "--out", "x.png", "--energy", "beauty=1"], "Unknown energy 'beauty'"),
    ):
        result = run("layout", *arguments)
        assert result.code == 2 and said in " ".join(result.err.split()), result.err
