"""Conformers whose rotatable bonds a second model, of torsions, turns after the first has drawn them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Data

from graphscore.experiment.build import build_sampler
from graphscore.experiment.sampling.pipeline import Pipeline
from graphscore.experiment.sampling.request import Request
from graphscore.generate.inputs import input_graph
from graphscore.molecules.torsions import TORSION, TurnedSampler
from graphscore.samplers import Sampler


class TurningPipeline(Pipeline):
    """Pipeline of molecules that turns all rotatable bonds of its samples, if a request names a model of torsions."""

    _turner: tuple[Path | str, Pipeline] | None = None

    def turner(self, request: Request) -> Pipeline | None:
        """Load the model of torsions of a request; ``None`` if it names none.

        Raises:
            FileNotFoundError: If there is no such model.
            ValueError: If it cannot be read, or is none of torsions; or this model is one of torsions itself.
        """
        source = getattr(request, "torsions", None)
        if source is None:
            return None
        if self._turner is None or self._turner[0] != source:
            turner = Pipeline.load(source, device=str(self.device))
            if [*turner.model.fields] != [TORSION.name]:
                raise ValueError(f"{source} is no model of torsions: its fields are {[*turner.model.fields]}")
            self._turner = (source, turner)
        if self.needs_given:
            raise ValueError(f"{self.checkpoint} is a model of torsions itself: it turns bonds of given conformers")
        return self._turner[1]

    def sampler(self, request: Request) -> Sampler:
        """Build the sampler of a request, in two stages if it names a model of torsions."""
        first, turner = super().sampler(request), self.turner(request)
        if turner is None:
            return first
        return TurnedSampler(first, build_sampler(turner.config, turner.model))

    def with_bonds(self, item: Data, graph: Data, request: Request) -> Data:
        """Add what the model of torsions of a request reads to the network's input graph of a molecule.

        Raises:
            ValueError: If that model sees other atoms or edges, or does not know the molecule.
        """
        if (turner := self.turner(request)) is None:
            return graph
        seen = input_graph(item, turner.transform, ["pos"], turner.known, self.label)
        for name, value in seen.to_dict().items():
            if name not in graph:
                graph[name] = value
            elif isinstance(value, torch.Tensor) and not torch.equal(value, graph[name]):
                raise ValueError(f"{turner.checkpoint} sees another {name} of molecules than {self.checkpoint}")
        return graph

    def describe(self, request: Request) -> dict[str, Any]:
        """Describe everything that the samples depend on, the model of torsions included."""
        found, turner = super().describe(request), self.turner(request)
        if turner is None:
            return found
        sha256 = hashlib.sha256(turner.checkpoint.read_bytes()).hexdigest()
        sampling = turner.config.sampling.model_dump(mode="json")
        return {**found, "turned_by": {"checkpoint": str(turner.checkpoint), "sha256": sha256, "sampling": sampling}}
