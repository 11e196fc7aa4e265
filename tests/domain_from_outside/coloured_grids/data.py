"""Chessboards of 4 x 4 cells, in both colourings, with a little noise."""

from __future__ import annotations

from collections.abc import Iterable

import networkx as nx
import torch
from torch_geometric.data import Data

from graphscore.data.dataset import Dataset, Part, Transform

SIDE = 4


class ColouredGrids(Dataset):
    """Grids with a colour for each cell."""

    name = "coloured-grids"

    def __init__(self, transform: Transform | None = None, num: int = 40) -> None:
        edges = nx.convert_node_labels_to_integers(nx.grid_2d_graph(SIDE, SIDE)).to_directed().edges
        edge_index = torch.tensor(sorted(edges)).t().contiguous()
        cell = torch.arange(SIDE**2)
        board = 1.0 - 2.0 * ((cell // SIDE + cell % SIDE) % 2)
        noise = torch.randn(3, num, SIDE**2, 1, generator=torch.Generator().manual_seed(0))
        signs = torch.tensor([1.0, -1.0]).repeat(num)
        self._parts: dict[str, list[Data]] = {}
        for part, rows in zip(("train", "val", "test"), noise, strict=True):
            graphs = [
                Data(cell=cell, edge_index=edge_index, num_nodes=SIDE**2, colour=sign * board[:, None] + 0.05 * row)
                for sign, row in zip(signs, rows, strict=False)
            ]
            self._parts[part] = [graph if transform is None else transform(graph) for graph in graphs]

    def _part_groups(self, part: Part) -> Iterable[list[Data]]:
        return [self._parts[part]]
