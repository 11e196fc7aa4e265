"""Autoguidance: a model guided away from a weaker version of itself."""

from __future__ import annotations

from torch import Tensor
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel
from graphscore.guidance.base import Guidance, check_levels, extrapolate


class Autoguidance(Guidance):
    r"""Autoguidance: extrapolate from the posterior mean of a weaker model to that of a better one.

    ``x0 = x0_weak + strength (x0_good - x0_weak)``. The weaker model is of the same data, but smaller or less trained,
    and errs as the better one does, only more: the step from one to the other leads on towards the data. The score is
    that of ``p_weak(xt)^(1 - k) p_good(xt)^k`` at each noise level, where k is the strength. Samples get closer to the
    data at some cost of variety, and no condition is needed. A step costs an evaluation of each model.

    Args:
        model: The score model.
        weaker: The weaker one, with an equal process; on the device of the other.
        strength: Strength of the guidance: 1 is the better model alone, and the paper's are about 2.
        levels: Lowest and highest noise level ``std / alpha`` that are guided, in standard deviations of the data; at
            other levels the better model's estimate is taken as it is. By default all are guided.

    Raises:
        ValueError: If the processes differ, or the levels do not rise.

    References:
        Karras et al. (2024), Guiding a diffusion model with a bad version of itself, equation 2.
    """

    def __init__(
        self, model: ScoreModel, weaker: ScoreModel, strength: float, levels: tuple[float, float] | None = None
    ) -> None:
        super().__init__(model)
        if repr(weaker.process) != repr(model.process):
            raise ValueError(
                f"Autoguidance needs two models of one process, but the model has {model.process!r} and the weaker one "
                f"{weaker.process!r}"
            )
        self.weaker, self.strength, self.levels = weaker, strength, check_levels(levels)
        self.needs_signal = model.needs_signal or weaker.needs_signal

    @property
    def evaluations_per_call(self) -> int:  # noqa: D102 (documented on ScoreModel)
        return self.model.evaluations_per_call + self.weaker.evaluations_per_call

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102 (documented on ScoreModel)
        weak, good = self.weaker(batch, t), self.model(batch, t)
        return extrapolate(self.process, batch, t, weak, good, self.strength, self.levels)
