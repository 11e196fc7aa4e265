"""Low-temperature sampling: samples that are likelier under the model, and less varied."""

from __future__ import annotations

from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import ScoreModel
from graphscore.guidance.base import Guidance, check_levels, extrapolate


class LowTemperature(Guidance):
    r"""Low-temperature sampling: the score of the model times a factor, which trades variety for quality.

    ``x0 = xt / alpha + strength (x0_hat - xt / alpha)``, by which the score is that of ``p(xt)^k`` at each noise level,
    where k is the strength. For strengths other than 1 these densities do not belong to one diffusion process, so that
    samples do not follow ``p(x0)^k``. Gaussian data and a stochastic sampler with the noise of the process, such as
    ``ancestral``, give the temperature ``1 / (2k - 1)``: a variance so many times that of the data. How sharply
    samplers without noise do it depends on the highest noise level. It costs no evaluation.

    Args:
        model: The score model.
        strength: 1 is the model as it is; 1.5 halves the variance of Gaussian data, and 2 leaves a third.
        levels: Lowest and highest noise level ``std / alpha`` that are guided, in standard deviations of the data; by
            default all are.

    Raises:
        ValueError: If the strength is not more than 1/2, where no temperature is left, or the levels do not rise.

    References:
        Ingraham et al. (2023), Illuminating protein space with a programmable generative model, supplement (score
        times a factor, there one that rises as the noise falls).
    """

    def __init__(self, model: ScoreModel, strength: float, levels: tuple[float, float] | None = None) -> None:
        super().__init__(model)
        if not strength > 0.5:
            raise ValueError(f"strength must be more than 0.5, and 1 is the model as it is, but is {strength}")
        self.strength, self.levels = strength, check_levels(levels)
        self.needs_signal = True

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102 (documented on ScoreModel)
        noisy = {}
        for field, sde in self.process:
            index = field.index(batch)
            xt = field.project(batch[field.name], index, batch.num_graphs)
            noisy[field.name] = xt / ops.per_row(sde.alpha(t), xt, index)
        return extrapolate(self.process, batch, t, noisy, self.model(batch, t), self.strength, self.levels)
