"""The animated picture of the README: noise that becomes a molecule, a drawing, a point cloud and a pose.

``python .docs/animation.py`` writes ``.github/sampling.svg``, by the weights that come with the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import networkx as nx
import torch
from torch_geometric.data import Data

import graphscore as gs
from graphscore.experiment.drawings.animation import Way, draw_animation
from graphscore.experiment.drawings.page import Frame
from graphscore.experiment.drawings.view import way_of
from graphscore.experiment.sampling.trajectories import Trajectories, position_noise
from graphscore.molecules.show.animation import molecule_way
from graphscore.poses.cmu import CmuPoses

OUT = Path(__file__).parents[1] / ".github" / "sampling.svg"
TITLE = "Noise becomes a molecule, a drawing of a graph, a point cloud and a pose, step by step"
IBUPROFEN = "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O"


def steps(model: gs.Pipeline, item: Any, **options: Any) -> tuple[Data, Sequence[torch.Tensor]]:
    """Sample once: the sample, and the positions of the nodes in the network's graph after each step."""
    recorder = Trajectories(position_noise(model.model), lambda data: data)
    (outcome,) = model.sample([item], num=1, trace=recorder, **options)
    (states,) = recorder.states.values()
    return outcome.samples[0], [state.pos for state in states]


def molecule() -> Way:
    """The way to a conformer; the network places all atoms but hydrogens."""
    sample, places = steps(gs.ConformerModel.load(), IBUPROFEN, seed=1, num_steps=24)
    heavy = sample.subgraph(sample.z != 1)
    return molecule_way([Data(z=heavy.z, edge_index=heavy.edge_index, pos=pos) for pos in places], "a molecule")


def way(weights: str, item: Data, label: str, **options: Any) -> Way:
    """The way to a sample of shipped weights."""
    _, places = steps(gs.Pipeline.load(weights), item, **options)
    edges = item.edge_index
    return way_of([Frame(k, None, Data(edge_index=edges, pos=pos)) for k, pos in enumerate(places)], label)


def main() -> None:
    """Sample and draw."""
    graph = torch.tensor([*nx.tutte_graph().edges]).T
    drawn = Data(edge_index=torch.cat([graph, graph.flip(0)], dim=1), num_nodes=46)
    blank = Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=256)
    pose = CmuPoses().split("test")[0]
    ways = [
        molecule(),
        way("layout", drawn, "a drawing of a graph", seed=0, num_steps=24),
        way("bodies", blank, "a point cloud", seed=1),
        way("poses", pose, "a pose", seed=1),
    ]
    print(draw_animation(ways, OUT, TITLE))


if __name__ == "__main__":
    main()
