"""Energies of drawings and their price in stress: ``python tests/benchmarks/bench_energies.py``.

Validation graphs of Rome of at most ``--nodes`` nodes, drawn by ``graphscore.layout`` with each energy at several
strengths, in refinement and by guidance of the model alone. Means of the energy, the stress and the crossings.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Batch, Data

import graphscore as gs
from graphscore.layouts.energies import ENERGIES, DrawingEnergy
from graphscore.layouts.metrics import measure_drawings
from graphscore.layouts.rome import read_collection

STRENGTHS = {"auto": (1.0, 3.0, 10.0), None: (1.0, 5.0)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=70, help="most nodes of a graph")
    parser.add_argument("--limit", type=int, default=20, help="so many graphs, the first ones")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    records = (one.graph for one in read_collection("rome") if one.part == "val")
    graphs = [graph for graph in records if (graph.num_nodes or 0) <= arguments.nodes][: arguments.limit]

    def drawn(**options: Any) -> list[Data]:
        found = gs.layout(graphs, seed=arguments.seed, scale=None, **options)
        return [
            Data(edge_index=graph.edge_index, pos=torch.from_numpy(np.array([*one.values()])), num_nodes=len(one))
            for graph, one in zip(graphs, found, strict=True)
        ]

    def show(title: str, drawings: list[Data], energy: DrawingEnergy) -> None:
        metrics, value = measure_drawings(drawings), float(energy(Batch.from_data_list(drawings)).mean())
        print(f"{title:32}{metrics['stress'].mean():10.1f}{metrics['crossings'].mean():10.1f}{value:10.2f}", flush=True)

    print(f"{len(graphs)} validation graphs\n{'':32}{'stress':>10}{'crossings':>10}{'energy':>10}")
    for refine, strengths in STRENGTHS.items():
        title = "stress" if refine else "model alone"
        plain = drawn(refine=refine)
        for name, kind in ENERGIES.items():
            show(f"{title}, without {name}", plain, kind())
            for strength in strengths:
                show(f"{title}, {name} {strength:g}", drawn(refine=refine, energies={name: strength}), kind())


if __name__ == "__main__":
    main()
