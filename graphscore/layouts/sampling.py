"""Sampling of drawings of connected graphs by the layout model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphscore.attributes import FIXED, FIXED_POS
from graphscore.denoiser import ScoreModel
from graphscore.experiment.build import build_sampler, build_transform
from graphscore.experiment.config.schema import ModelConfig
from graphscore.experiment.pretrained import load_model
from graphscore.guidance import EnergyGuidance, Inpainting
from graphscore.layouts.energies import DrawingEnergy
from graphscore.rng import SAMPLING, GraphGenerator, mix_seed
from graphscore.samplers import Sampler

WEIGHTS = "layout"
QUICK = 1, 0.25
"""Number of steps and scale of the prior for drawings that are refined, whose model is evaluated once: on validation
graphs, more evaluations do not improve the refined drawings."""
MOST_SHIFT = 1.0
"""Largest shift of a node by the guidance in a step, in lengths of an edge."""
MOST_NODES = 128
"""Largest graphs that the shipped model is used for: it was measured on graphs of up to 110 nodes."""


class LayoutModel(NamedTuple):
    """A loaded layout model.

    Attributes:
        model: Score model of the field ``pos``.
        config: Its configuration.
        transform: Makes its input graph.
        samplers: Samplers that were made before, since a small graph takes less time than making one.
    """

    model: ScoreModel
    config: ModelConfig
    transform: Any
    samplers: dict[tuple[bool, float | None, bool, DrawingEnergy | None], Sampler]

    def sampler(
        self, fixed: bool = False, start: float | None = None, quick: bool = False, energy: DrawingEnergy | None = None
    ) -> Sampler:
        """Make the sampler of the configuration.

        Args:
            fixed: Whether nodes whose positions are given stay there.
            start: Time at which sampling starts.
            quick: Whether to take the number of steps and scale of the prior of :data:`QUICK`.
            energy: Guides the samples.
        """
        key = fixed, start, quick, energy
        if key not in self.samplers:
            guided = Inpainting(self.model, "pos", FIXED, FIXED_POS, rigid=True) if fixed else self.model
            if energy is not None:
                guided = EnergyGuidance(guided, energy, max_step=MOST_SHIFT, through_network=False)
            changes = ["sampler.denoise_last=false"] if quick else []
            # The scale was chosen for pure noise; what is given gets all the noise that it is to be moved by.
            num_steps, scale = QUICK if quick else (None, None)
            scale = scale if start is None else 1.0
            config = self.config.with_sampling(None, num_steps, scale, changes=changes)
            self.samplers[key] = build_sampler(config, guided, start)
        return self.samplers[key]


@cache
def load_layout_model(source: str = WEIGHTS) -> LayoutModel:
    """Load a layout model, once.

    Args:
        source: Name of weights that come with the library, a model file, or the folder of a run.

    Raises:
        FileNotFoundError: If there is no such model.
        ValueError: If it does not draw in the plane.
    """
    model, config, _ = load_model(source)
    width = {name: field.width for name, field in model.process.fields.items()}
    if width != {"pos": 2}:
        raise ValueError(f"A layout model has the field pos of 2 columns alone, but {source} has {width}")
    return LayoutModel(model, config, build_transform(config), {})


def sample_drawings(
    model: LayoutModel,
    edges: Tensor,
    num_nodes: int,
    num: int,
    seed: int,
    *,
    fixed: tuple[Sequence[int], Tensor] | None = None,
    start: tuple[Tensor, float] | None = None,
    quick: bool = False,
    energy: DrawingEnergy | None = None,
) -> Tensor:
    """Sample drawings of a connected graph, in lengths of an edge.

    Args:
        model: The model.
        edges: Edges ``[2, E]``.
        num_nodes: Number of nodes N.
        num: Number of drawings K.
        seed: Seed of the noise.
        fixed: Nodes that stay, and their positions ``[F, 2]``.
        start: Positions ``[N, 2]`` to begin with, and the time, in (0, 1], up to which they are diffused first.
        quick: Whether the drawings are refined later, see :data:`QUICK`.
        energy: Guides the samples towards low values.

    Returns:
        Positions ``[K, N, 2]``.
    """
    graph = model.transform(Data(edge_index=edges, num_nodes=num_nodes))
    if fixed is not None:
        nodes, places = [*fixed[0]], fixed[1]
        graph[FIXED] = torch.zeros(num_nodes, dtype=torch.bool)
        graph[FIXED][nodes] = True
        graph[FIXED_POS] = torch.zeros(num_nodes, 2)
        graph[FIXED_POS][nodes] = places.float()
    batch = Batch.from_data_list([graph] * num)
    sampler = model.sampler(fixed is not None, None if start is None else start[1], quick, energy)
    generator = GraphGenerator([mix_seed(seed, k) for k in range(num)], SAMPLING)
    if start is not None:
        batch["pos"] = start[0].float().repeat(num, 1)
    return sampler(batch, generator, from_data=start is not None).batch["pos"].view(num, num_nodes, 2)
