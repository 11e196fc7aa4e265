"""Harmonic restraints on positions, and flat-bottomed restraints on distances."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel
from graphscore.guidance.base import known_mean, read, read_known
from graphscore.guidance.moment_matching import Restraint


class HarmonicRestraint(Restraint):
    r"""Harmonic restraint of marked rows of a field to target values, ``E = k/2 sum_i || x_i - target_i ||^2``.

    In a zero-mean field, where only relative positions matter, the marked rows of a graph are compared with their
    targets up to a translation. For the method see :class:`~graphscore.guidance.moment_matching.Restraint`.

    Args:
        model: The score model.
        field: Name of the field.
        mask: Name of the attribute that marks the restrained rows: bool, shape ``[rows]``.
        target: Name of the attribute of the targets, in data units, ``[rows, width]``; other rows are ignored.
        strength: Strength k in 1 / unit^2, the inverse variance of the targets; if infinite, the rows are fixed.
        num_iterations: Number of iterations.
        through_network: Whether the covariance is the derivative of the model, which moves the other rows too.
        max_step: Largest shift of a row, in data units.

    Raises:
        ValueError: If there is no such field, the target is stored under the name of one, or a number is out of range.
    """

    def __init__(
        self,
        model: ScoreModel,
        field: str,
        mask: str,
        target: str,
        strength: float,
        num_iterations: int = 10,
        through_network: bool = True,
        max_step: float | None = None,
    ) -> None:
        super().__init__(model, field, strength, num_iterations, through_network, max_step)
        self._field(field, mask, target)
        self.mask = mask
        self.target = target

    def residuals(self, batch: Batch, x: Tensor) -> Tensor:  # noqa: D102 (documented on Restraint)
        marked, target = read_known(batch, self.field.name, self.mask, self.target)
        difference = torch.where(marked, x - target, 0.0)
        if self.field.zero_mean:
            shift = known_mean(difference, marked, self.field.index(batch), batch.num_graphs)
            difference = torch.where(marked, difference - shift, 0.0)
        return difference

    def residual_index(self, batch: Batch) -> Tensor:  # noqa: D102
        return self.field.index(batch)


class DistanceRestraint(Restraint):
    r"""Flat-bottomed distance restraint, ``E = k/2 sum_p (max(d_p - upper_p, 0) - max(lower_p - d_p, 0))^2``.

    Within its bounds a pair is not restrained. If two nodes coincide, the gradient of their distance is taken as zero.
    For the method see :class:`~graphscore.guidance.moment_matching.Restraint`.

    Args:
        model: The score model.
        field: Name of a node-level field: the positions.
        pairs: Name of the attribute of the pairs of nodes, int64, ``[2, P]``, both in one graph. The name must contain
            ``"index"``, so that PyG increments the node numbers when it makes batches.
        bounds: Names of the attributes of the lower and the upper bounds, each ``[P]``, in data units: 0 and infinity
            for no bound, the same name twice for a fixed distance.
        strength: Strength k in 1 / unit^2; if infinite, the linearised distances keep their bounds.
        num_iterations: Number of iterations.
        through_network: Whether to take the covariance from the derivative of the model.
        max_step: Largest shift of a row, in data units.

    Raises:
        ValueError: If there is no such field, its rows are not nodes, the name of an attribute is not allowed, or a
            number is out of range.

    References:
        Havel and Wüthrich (1985), An evaluation of the combined use of nuclear magnetic resonance and distance geometry
        for the determination of protein conformations in solution (flat-bottomed bounds).
    """

    def __init__(
        self,
        model: ScoreModel,
        field: str,
        pairs: str,
        bounds: tuple[str, str],
        strength: float,
        num_iterations: int = 10,
        through_network: bool = True,
        max_step: float | None = None,
    ) -> None:
        super().__init__(model, field, strength, num_iterations, through_network, max_step)
        self.pairs = pairs
        self.lower, self.upper = bounds
        self._field(field, pairs, *bounds)
        if self.field.level != "node":
            raise ValueError(f"Distances are those of nodes, but field {field!r} belongs to {self.field.level}s")
        if "index" not in pairs:
            raise ValueError(
                f"The attribute of pairs must have 'index' in its name, or else batching does not count its nodes on "
                f"from graph to graph; call it {pairs + '_index'!r} instead of {pairs!r}"
            )

    def residuals(self, batch: Batch, x: Tensor) -> Tensor:  # noqa: D102 (documented on Restraint)
        first, second = pairs = self._pairs(batch)
        lower, upper = (read(batch, name, [pairs.shape[1]]).to(x) for name in (self.lower, self.upper))
        square = (x.index_select(0, first) - x.index_select(0, second)).square().sum(-1)
        apart = square > 0
        distance = torch.where(apart, torch.where(apart, square, 1.0).sqrt(), 0.0)
        return (distance - upper).relu() - (lower - distance).relu()

    def residual_index(self, batch: Batch) -> Tensor:  # noqa: D102
        return batch.batch.index_select(0, self._pairs(batch)[0])

    def _pairs(self, batch: Batch) -> Tensor:
        pairs = batch.get(self.pairs)
        if not isinstance(pairs, Tensor) or pairs.dim() != 2 or len(pairs) != 2 or pairs.dtype != torch.long:
            got = f"{pairs.dtype} of shape {list(pairs.shape)}" if isinstance(pairs, Tensor) else type(pairs).__name__
            raise ValueError(f"The pairs {self.pairs!r} must be int64 of shape [2, P], but are {got}")
        return pairs
