"""Files of one graph of any labels: read for ``graphscore layout``, and written back with positions."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import networkx as nx
import torch
from torch_geometric.data import Data

from graphscore.data.missing import missing
from graphscore.data.writers import check_output
from graphscore.experiment.drawings.shapes import Block
from graphscore.layouts.domain import WRITTEN
from graphscore.layouts.inputs import number_nodes
from graphscore.layouts.layout import Layout
from graphscore.layouts.show import STYLE
from graphscore.registry import close_to
from graphscore.runtime.atomic import replacing

PICTURES = (".png", ".html")


def read_graph(path: Path) -> nx.Graph:
    """Read a graph by the extension of its file.

    Args:
        path: ``.graphml``, ``.gml``, ``.json`` (node-link), ``.dot`` (needs pydot), ``.csv`` (two columns of nodes,
            and further ones of edge attributes, with names in the first line), or ``.txt`` and ``.edgelist`` (a pair of
            nodes in each line, separated by spaces, and comments after ``#``).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the extension is unknown, or the file cannot be read.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"Expected a graph as {', '.join(READERS)}, but got {path}{close_to(path.suffix, READERS)}")
    if not path.is_file():
        raise missing(path)
    try:
        return reader(path)
    except ImportError:
        raise
    except Exception as error:  # parsers raise errors of any type
        raise ValueError(f"{path} cannot be read as {path.suffix[1:]}: {error or type(error).__name__}") from error


def write_layout(graph: nx.Graph, pos: Layout, path: Path) -> None:
    """Write a graph with the positions of its nodes, as attributes ``x``, ``y`` (``pos`` in ``.dot``), or a picture.

    Args:
        graph: The graph.
        pos: Positions in the plane, by node.
        path: ``.graphml``, ``.gml``, ``.json``, ``.dot``, ``.csv`` (columns node, x, y), ``.png`` or ``.html``; one
            that exists is replaced.

    Raises:
        ValueError: If the extension is unknown, or nothing can be written there.
    """
    check_output(path, WRITTEN)
    suffix = path.suffix.lower()
    if suffix in PICTURES:
        numbered = number_nodes(graph)
        places = torch.tensor([[*map(float, pos[node])] for node in numbered.labels]).reshape(-1, 2)
        edges = numbered.edge_index()
        data = Data(edge_index=torch.cat([edges, edges.flip(0)], 1), pos=places, num_nodes=len(numbered.labels))
        STYLE.draw([Block("", [data], STYLE.labels([data]))], path, path.stem)
        return
    placed = graph.copy()
    for node, (x, y) in pos.items():
        placed.nodes[node].update({"pos": f"{x},{y}"} if suffix == ".dot" else {"x": float(x), "y": float(y)})
    with replacing(path) as temporary:
        WRITERS[suffix](placed, temporary)


def _read_json(path: Path) -> nx.Graph:
    content = json.loads(path.read_text(encoding="utf-8"))
    key = "edges" if "edges" in content else "links"  # the older name
    return nx.node_link_graph(content, edges=key)


def _write_json(graph: nx.Graph, path: Path) -> None:
    path.write_text(json.dumps(nx.node_link_data(graph, edges="edges")), encoding="utf-8")


def _read_csv(path: Path) -> nx.Graph:
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = [row for row in csv.reader(file) if row]
    if len(head) < 2 or any(len(row) != len(head) for row in rows):
        raise ValueError("expected lines of two nodes and maybe attributes, as many in each, and their names above")
    graph = nx.Graph()
    graph.add_edges_from((u, v, dict(zip(head[2:], rest, strict=True))) for u, v, *rest in rows)
    return graph


def _write_csv(graph: nx.Graph, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["node", "x", "y"])
        writer.writerows((node, attributes["x"], attributes["y"]) for node, attributes in graph.nodes(data=True))


def _write_dot(graph: nx.Graph, path: Path) -> None:
    nx.nx_pydot.write_dot(graph, str(path))


READERS: Mapping[str, Callable[[Path], Any]] = {
    ".graphml": nx.read_graphml,
    ".gml": nx.read_gml,
    ".json": _read_json,
    ".csv": _read_csv,
    ".txt": nx.read_edgelist,
    ".edgelist": nx.read_edgelist,
    ".dot": lambda path: nx.nx_pydot.read_dot(str(path)),
}
WRITERS: Mapping[str, Callable[[nx.Graph, Path], Any]] = {
    ".graphml": lambda graph, path: nx.write_graphml(graph, str(path)),
    ".gml": lambda graph, path: nx.write_gml(graph, str(path)),
    ".json": _write_json,
    ".csv": _write_csv,
    ".dot": _write_dot,
}
