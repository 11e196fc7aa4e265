"""Inpainting: sampling with given values of some rows of a field."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import ScoreModel
from graphscore.fields import replace
from graphscore.guidance.base import Guidance, known_mean, read_known
from graphscore.linalg.kabsch import align
from graphscore.sdes import CircleSDE


class Inpainting(Guidance):
    r"""Inpainting guidance: replace the given rows of the posterior mean by their values.

    A sampler moves these rows from noise to the given values as if the model had predicted them, so that at time t they
    are ``alpha x0 + std eps``: the noise level that the network gets as an input is right for them, too, whether steps
    draw noise or not.

    In a zero-mean field only relative positions matter. The given fragment is moved so that its centroid is that of the
    prediction, and the whole graph keeps its mean; with ``rigid`` it is also rotated, by Kabsch's rotation.
    :meth:`place` moves samples back to the fragment's own place.

    For given angles, the posterior mean is that of the value with unknown full turns, see
    :meth:`graphscore.sdes.CircleSDE.clean`.

    The other rows are influenced by the given values only through the noisy ones, which does not condition them exactly
    if rows are correlated. :class:`~graphscore.samplers.resampling.ResamplingSampler` corrects most of that by repeated
    steps, but hardly the choice among shapes far apart. :class:`~graphscore.guidance.restraints.HarmonicRestraint` of
    infinite strength fixes the same rows by the posterior covariance: exact for Gaussian data without repeated steps,
    but with several backward passes a step.

    Args:
        model: The score model.
        field: Name of the field.
        mask: Name of the attribute that marks the given rows: bool, shape ``[rows]``.
        values: Name of the attribute of the given values, in data units, ``[rows, width]``; other rows are ignored.
        rigid: Whether the fragment is given only up to a rotation and translation.

    Raises:
        ValueError: If there is no such field, the values are stored under the name of one, or angles are ``rigid``.

    References:
        Lugmayr et al. (2022), RePaint: inpainting using denoising diffusion probabilistic models, equation 8 (there
        the known rows get fresh noise at each step; here they keep that of the sampler).
    """

    def __init__(self, model: ScoreModel, field: str, mask: str, values: str, rigid: bool = False) -> None:
        super().__init__(model)
        self.field = self._field(field, mask, values)
        if rigid and self.field.periodic:
            raise ValueError(f"The angles {field!r} cannot be rotated: leave out rigid")
        self.mask = mask
        self.values = values
        self.rigid = rigid

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102 (documented on ScoreModel)
        x0_hat, name, index = self.model(batch, t), self.field.name, self.field.index(batch)
        known, values = read_known(batch, name, self.mask, self.values)
        if isinstance(sde := self.process.sdes[self.field], CircleSDE):
            placed = sde.clean(values, batch[name], ops.per_row(sde.std(t), values, index))
        else:
            placed = self._superpose(values / self.field.scale, x0_hat[name], known, index, batch.num_graphs)
        return {**x0_hat, name: torch.where(known, placed, x0_hat[name])}

    def place(self, sample: Batch) -> Batch:
        """Move each sampled graph, and with ``rigid`` rotate it, so that its given rows match their values.

        Args:
            sample: Sample in data units, with the mask and the values.

        Returns:
            A shallow copy with the field replaced. Graphs without given rows are not moved.
        """
        known, values = read_known(sample, self.field.name, self.mask, self.values)
        index, x = self.field.index(sample), sample[self.field.name]
        anchored = ops.broadcast(ops.sum(known.to(x.dtype), index, sample.num_graphs) > 0, index)
        moved = self._superpose(x, values, known, index, sample.num_graphs)
        return replace(sample, {self.field.name: torch.where(anchored, moved, x)})

    def _superpose(self, x: Tensor, onto: Tensor, known: Tensor, index: Tensor, num_graphs: int) -> Tensor:
        """Move all rows of each graph so that the given ones come closest to those of ``onto``."""
        if self.rigid:
            return align(x, onto, index, num_graphs, known[:, 0].to(x.dtype))
        if not self.field.zero_mean:
            return x
        return x + known_mean(onto - x, known, index, num_graphs)
