"""Sampling in two stages: positions by one model, and then all rotatable bonds turned by a model of torsions."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel
from graphscore.fields import replace
from graphscore.molecules.torsions.geometry import set_torsions
from graphscore.rng import Generator
from graphscore.samplers import Sampler, SamplerResult
from graphscore.samplers.base import Callback


class TurnedSampler(Sampler):
    """Sampler of positions ``pos`` whose rotatable bonds a second sampler turns anew.

    Bond lengths, bond angles and rings are those of the first sample, torsions those of the second. Estimates, and with
    them the drift, are those of the first; network evaluations are counted for both.

    Args:
        positions: Sampler of a model of positions.
        torsions: Sampler of a :class:`~graphscore.molecules.torsions.TorsionDenoiser`. The graphs need what its network
            reads, and torsions, see :class:`~graphscore.molecules.torsions.Torsions`.

    References:
        Jing et al. (2022), Torsional diffusion for molecular conformer generation (there with local structures of
        RDKit).
    """

    order: ClassVar[int | None] = None

    def __init__(self, positions: Sampler, torsions: Sampler) -> None:
        super().__init__(positions.model, positions.grid, positions.denoise_last, prior_scale=positions.prior_scale)
        self.positions, self.torsions = positions, torsions
        self.stochastic = positions.stochastic or torsions.stochastic

    def step(
        self, model: ScoreModel, batch: Batch, t: Tensor, s: Tensor, memory: Any, generator: Generator
    ) -> tuple[Batch, Any]:
        """Take a step of the first sampler."""
        return self.positions.step(model, batch, t, s, memory, generator)

    def __call__(
        self,
        template: Batch,
        generator: Generator = None,
        callback: Callback | None = None,
        *,
        from_data: bool = False,
        progress: bool = False,
    ) -> SamplerResult:
        """Sample positions, and then torsions; ``callback`` is told the steps of the first sampler."""
        result = self.positions(template, generator, callback, from_data=from_data, progress=progress)
        batch = result.batch
        if not batch["torsion_index"].shape[1]:
            return result
        self.torsions.model.to(batch["pos"].device)
        turned = self.torsions(batch, generator, progress=progress)
        return result._replace(
            batch=replace(batch, {"pos": set_torsions(turned.batch).pos}),
            num_evaluations=result.num_evaluations + turned.num_evaluations,
        )
