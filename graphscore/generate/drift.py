r"""How far the estimate of a sample still moves at the end of sampling.

Where noise has led a sample between two modes of the data, the network's estimate :math:`\hat x_0` goes on moving when
little noise is left; in a mode it rests. The distance of its last two estimates so tells bad samples from good ones,
at no cost. Relative to the size of the sample it is much the same for graphs of any size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import ScoreModel


class LastEstimates:
    """The last two estimates of a model, which is watched inside a ``with`` block.

    Args:
        model: The model.
    """

    def __init__(self, model: ScoreModel) -> None:
        self.model = model
        self.before: Mapping[str, Tensor] | None = None
        self.last: Mapping[str, Tensor] | None = None

    def __enter__(self) -> LastEstimates:
        self.hook = self.model.register_forward_hook(self._keep)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hook.remove()

    def _keep(self, model: Any, inputs: Any, estimate: Mapping[str, Tensor]) -> None:
        self.before, self.last = self.last, estimate

    def drift(self, batch: Batch) -> Tensor:
        """Distance of the last two estimates of each graph, relative to the last.

        Args:
            batch: The batch that was sampled.

        Returns:
            Norm of the change of a field, all its rows together, over that of the field, which for centred positions is
            the radius of gyration; the largest over fields. Shape ``[B]``. Infinite where an estimate is not finite, or
            too large for its square to be. Zeros if there were not two evaluations.
        """
        drifts = [batch.batch.new_zeros(batch.num_graphs, dtype=torch.float32)]
        if self.before is not None and self.last is not None:
            for field, _ in self.model.process:
                last, index = self.last[field.name], field.index(batch)
                change, size = (
                    ops.sum(values.square().flatten(1).sum(1), index, batch.num_graphs).sqrt()
                    for values in (last - self.before[field.name], last)
                )
                # Nothing can move in a single centred node. A change that is not a number is no rest.
                drift = torch.where(change == 0, 0.0, change / size).float()
                drifts.append(drift.nan_to_num(nan=math.inf, posinf=math.inf))
        return torch.stack(drifts).amax(0)
