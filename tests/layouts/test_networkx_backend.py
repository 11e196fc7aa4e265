"""networkx passes its ForceAtlas2 layout on, where the package is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest

import graphscore

CODE = """
import networkx as nx, numpy as np, graphscore as gs
graph = nx.cycle_graph(7)
drawn = nx.forceatlas2_layout(graph, backend="graphscore", seed=3, store_pos_as="place", max_iter=5)
other = gs.layout(graph, seed=np.random.RandomState(3), scale=None)  # networkx makes this of a number
assert all((drawn[node] == other[node]).all() for node in graph)
assert (graph.nodes[2]["place"] == drawn[2]).all()
assert {*nx.forceatlas2_layout(graph, seed=3)} == {*graph}  # without the backend: networkx' own
"""


@pytest.mark.skipif(not hasattr(nx.forceatlas2_layout, "backends"), reason="this networkx passes no layout on")
def test_forceatlas2_is_passed_on(tmp_path: Path):
    installed = tmp_path / "graphscore_layouts-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: graphscore-layouts\nVersion: 1.0\n")
    backend = "[networkx.backends]\ngraphscore = graphscore.layouts.backend:BACKEND\n"
    (installed / "entry_points.txt").write_text(backend)
    root = Path(graphscore.__file__).parents[1]
    assert backend.splitlines()[1].split(" = ")[1] in (root / "pyproject.toml").read_text()
    path = os.pathsep.join([str(tmp_path), str(root)])
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
